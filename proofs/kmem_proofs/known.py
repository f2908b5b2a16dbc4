"""What is known of the obligations without a solver: names, levels, mutants, as they are listed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kmem_proofs.obligations import Obligation


@dataclass(frozen=True, slots=True)
class Known:
    """An obligation as the lists have it; `mutants` say what is wrong with each changed code."""

    name: str
    level: str
    mutants: tuple[str, ...]

    @property
    def clause(self) -> str:
        """The id of the clause."""
        return self.name.partition("/")[0]


@cache
def obligations() -> tuple[Known, ...]:
    """Return every obligation that there must be, in the order of the manifest."""
    return tuple(read(files("kmem_proofs").joinpath("mutants.txt").read_text("utf-8")))


def of_clause(clause: str) -> list[Known]:
    """Return the obligations that prove a clause."""
    return [each for each in obligations() if each.clause == clause]


def read(text: str) -> Iterable[Known]:
    """Yield the obligations of a list: a line with name and level, and an indented one for each mutant."""
    name, level, says = "", "", list[str]()
    for line in [*text.splitlines(), "\0"]:
        if line.startswith(" "):
            says.append(line.strip())
            continue
        if name:
            yield Known(name, level, tuple(says))
        name, _, level = line.partition(" ")
        says = []


def write(known: Iterable[Obligation]) -> str:
    """Return the list of these obligations."""
    return "".join(
        f"{each.name} {each.level}\n" + "".join(f"  {mutant.says}\n" for mutant in each.mutants)
        for each in known
    )
