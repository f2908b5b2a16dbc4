"""Reduction: from a violation to the shortest script that shows it."""
