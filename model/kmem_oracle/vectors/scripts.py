"""The scripts of the vectors: for each clause the example of its chapter, and others that look further.

A script stays within what its machine has: of a toy nothing is asked that a larger machine would answer
otherwise, so that the toy's programs pass on every correct allocator with as much memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from kmem_oracle.learn.chapters import sections
from kmem_oracle.vectors.looks import MORE
from kmem_oracle.vectors.patterns import Text
from kmem_oracle.vectors.presets import TOY
from kmem_oracle.vectors.sizes import HUGE, LARGE, SIZES
from kmem_spec.clauses import CONTRACT, Clause
from kmem_spec.profile import Profile


@dataclass(frozen=True, slots=True)
class Script:
    """A script in parts, each to be run so many times."""

    name: str
    parts: tuple[tuple[int, str], ...]

    @property
    def text(self) -> str:
        """Return the script with every part once: what its names stand for does not depend on rounds."""
        return "\n".join(text for _, text in self.parts)


def scripts(clause: Clause, profile: Profile) -> list[Script]:
    """Return the scripts for a clause on a machine; none where the clause is not asked there."""
    if not is_asked(clause, profile):
        return []
    found: list[Text] = []
    example = sections()[clause.id].example
    if profile.name != TOY or fits_a_toy(example):
        found.append(example)
    sizes = (*SIZES, *LARGE, *(() if profile.name == TOY else HUGE))
    found += MORE[clause.id](sizes) if clause.id in MORE else ()
    return [
        Script(str(number), ((1, text),) if isinstance(text, str) else text)
        for number, text in enumerate(found, 1)
    ]


def is_asked(clause: Clause, profile: Profile) -> bool:
    """Say whether a profile has vectors of a clause.

    What `contract` promises has some under `contract` and for the toy alone: other profiles promise it too.
    """
    general = CONTRACT in clause.promises
    return bool(clause.promises & profile.promises) and (not general or profile.name in (TOY, CONTRACT))


def fits_a_toy(text: str) -> bool:
    """Say whether a script asks a machine of 1 MiB for no more than it can have."""
    return not any(word in text for word in ("4 * 1024", "GFP_KERNEL, 10)", "GFP_KERNEL, 4)"))
