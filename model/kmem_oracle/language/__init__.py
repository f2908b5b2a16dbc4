"""The call language: scripts as text, as calls, and as text again."""
