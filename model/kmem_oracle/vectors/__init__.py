"""Test vectors: the specification as files that any language can read; spec/vectors.md has their format."""
