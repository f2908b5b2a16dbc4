"""Threads: calls made side by side, put in an order that a judge can read."""
