"""How many vectors there are of a clause."""

from __future__ import annotations

from kmem_oracle.vectors.presets import presets
from kmem_oracle.vectors.states import states
from kmem_oracle.vectors.write import vectors
from kmem_spec.clauses import Clause


def vectors_of(clause: Clause) -> tuple[int, int]:
    """Return how many vectors a correct allocator or judge lets pass, and how many a judge must reject."""
    negative = sum(not line["holds"] for line in states(clause))
    positive = sum(bool(line["holds"]) for line in states(clause))
    for profile in presets().values():
        for lines in vectors([clause], profile).values():
            positive += sum("program" in line or line.get("verdict") == "admitted" for line in lines)
            negative += sum(line.get("verdict") == "broken" for line in lines)
    return positive, negative
