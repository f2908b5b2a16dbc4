"""Traces: what kernels recorded, and histories of calls, judged line by line.

`reading.judge_file` is the way in, and gives a `summary.Summary`.
"""
