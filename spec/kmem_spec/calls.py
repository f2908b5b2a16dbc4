"""Calls, answers and events: what passes between an allocator and its judge.

Pointers are addresses here, whoever named them; ids belong to scripts. Everything is an immutable tuple
of integers, so that a history is cheap to hold and to send.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Family = Literal["kmalloc", "page", "driver"]
Parameter = Literal["size", "count", "gfp", "order", "pointer"]
Role = Literal["allocate", "resize", "free", "measure", "look"]


class Call(NamedTuple):
    """One call of the API: its kernel name, its arguments in the order of the kernel's prototype."""

    api: str
    args: tuple[int, ...]


class Answer(NamedTuple):
    """The outcome of a call, and what a driver could see besides; -1 where it saw nothing.

    result     address or number; 0 for NULL and for calls that return nothing
    usable     bytes that ksize gives for the object in hand
    nonzero    offset of a byte that is not zero, among bytes promised zero that no user has written
    changed    offset of the first byte that differs from what the object's user last wrote
    slept      1 if the call slept, 0 if it did not
    """

    result: int
    usable: int = -1
    nonzero: int = -1
    changed: int = -1
    slept: int = -1


class Event(NamedTuple):
    """A call that returned."""

    call: Call
    answer: Answer


class Lost(NamedTuple):
    """A call that did not return; `how` completes the sentence "the call …"."""

    call: Call
    how: str


class Asked(NamedTuple):
    """What a call asks for, as the rules see it; a pure function of call and profile.

    size       bytes; of an array the exact product, which may exceed size_t
    limit      bytes, the largest size that this call serves
    minimum    alignment in bytes that every object has
    natural    alignment that a power of two earns, else 1
    divisor    largest power of two that divides the size
    slot       bytes of the size class, 0 where no profile promises one
    zero_from  bytes zero_from to zero_to are promised zero
    keep       leading bytes that come over from the old object
    zone_end   first address beyond the memory that the mask allows, 0 where unknown
    """

    api: str
    family: Family
    size: int
    limit: int
    gfp: int
    order: int
    minimum: int
    natural: int
    divisor: int
    slot: int
    zero_from: int
    zero_to: int
    keep: int
    zone_end: int


@dataclass(frozen=True, slots=True)
class Api:
    """The shape of one call: family, parameters as in the kernel's prototype, what it does."""

    name: str
    family: Family
    role: Role
    parameters: tuple[Parameter, ...]
    zeroes: bool = False


_ALL: Final = (
    Api("kmalloc", "kmalloc", "allocate", ("size", "gfp")),
    Api("kzalloc", "kmalloc", "allocate", ("size", "gfp"), zeroes=True),
    Api("kmalloc_array", "kmalloc", "allocate", ("count", "size", "gfp")),
    Api("kcalloc", "kmalloc", "allocate", ("count", "size", "gfp"), zeroes=True),
    Api("krealloc", "kmalloc", "resize", ("pointer", "size", "gfp")),
    Api("kfree", "kmalloc", "free", ("pointer",)),
    Api("ksize", "kmalloc", "measure", ("pointer",)),
    Api("__get_free_pages", "page", "allocate", ("gfp", "order")),
    Api("get_zeroed_page", "page", "allocate", ("gfp",), zeroes=True),
    Api("free_pages", "page", "free", ("pointer", "order")),
    Api("check", "driver", "look", ("pointer",)),
)
APIS: Final[dict[str, Api]] = {api.name: api for api in _ALL}
KERNEL_APIS: Final = tuple(api.name for api in _ALL if api.family != "driver")
