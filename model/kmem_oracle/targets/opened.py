"""What an opened target is: its calls, the way to its memory, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from kmem_oracle.targets.access import Access

Function = Callable[..., int | list[int] | None]
LARGEST: Final = 1 << 26  # bytes of one object that are filled; more is never asked of a library by the rules


class Unusable(Exception):
    """A target that cannot be used; the message is one line that says why and what to do."""


class Gone(Exception):
    """A target that did not come back from a call; the message completes "the call …"."""


class Imprint(partial[None]):
    """A constructor or destructor of the driver: it takes an object's address, and is bound to the rest."""

    @property
    def pattern(self) -> int:
        """Return the id whose pattern it writes over the object."""
        return int(self.args[-1])


@dataclass(frozen=True, slots=True)
class Opened:
    """A target that runs calls.

    functions  its calls by kernel name, over integers
    access     the way to its memory
    profile    the name of the promises it makes, empty for none
    largest    bytes of the largest object that is touched
    seen       whether the contents of its memory can be seen at all
    files      what it prints under the names of files, where it has any
    watch      registers what is to be called when a call sleeps; None where that cannot be observed
    symbols    of a library, the addresses of the functions that its calls need; else none
    hook       of a library, the address of the function behind `watch`, or 0
    """

    functions: Mapping[str, Function]
    access: Access
    profile: str = ""
    largest: int = LARGEST
    watch: Callable[[Callable[[], None]], None] | None = None
    symbols: Mapping[str, int] = field(default_factory=dict)
    hook: int = 0
    seen: bool = True
    files: Mapping[str, Callable[[], str]] = field(default_factory=dict)
