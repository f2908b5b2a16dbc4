"""Mutants of the code under proof: each has one fault, and a proof of it must fail."""
