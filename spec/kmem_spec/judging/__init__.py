"""The judge's rules, by what a call does: objects, resizes, caches and pools, areas."""
