"""One legal implementation: a small kernel's allocators over real bytes."""
