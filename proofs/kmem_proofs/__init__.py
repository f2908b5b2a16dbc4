"""How we know: proofs about the functions that run."""
