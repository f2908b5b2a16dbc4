"""To learn: a script line by line, sessions, the tour, chapters; two targets side by side."""
