"""The interactive mode: lines, their completion, and what is done with them."""
