"""The oracle: generate calls, run them on a target, judge the history."""
