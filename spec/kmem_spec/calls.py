"""Calls, answers and events: what passes between an allocator and its judge.

Pointers are addresses here, whoever named them; ids belong to scripts. Everything is an immutable tuple
of integers, so that a history is cheap to hold and to send.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Family = Literal["kmalloc", "kv", "cache", "page", "exact", "vmalloc", "vmap", "pool", "driver"]
CONSTRUCTED: Final = 1
DESTRUCTED: Final = 2


class Call(NamedTuple):
    """One call of the API: its kernel name, its arguments in the order of the kernel's prototype.

    Where the kernel takes an array of pointers, 0 stands in its place and the pointers follow the others.
    """

    api: str
    args: tuple[int, ...]


class Note(NamedTuple):
    """What ran during a call: CONSTRUCTED or DESTRUCTED, by which cache's function, at which address."""

    kind: int
    cache: int
    address: int


class Answer(NamedTuple):
    """The outcome of a call, and what a driver could see besides; -1 where it saw nothing.

    result     address or number; 0 for NULL and for calls that return nothing
    usable     bytes that ksize gives for the object in hand
    nonzero    offset of a byte that is not zero, among bytes promised zero that no user has written
    changed    offset of the first byte that differs from what the object's user last wrote, or from the
               constructed state, or from what was to be copied
    slept      1 if the call slept, 0 if it did not
    notes      constructors and destructors that ran
    """

    result: int
    usable: int = -1
    nonzero: int = -1
    changed: int = -1
    slept: int = -1
    notes: tuple[Note, ...] = ()


class Event(NamedTuple):
    """A call that returned."""

    call: Call
    answer: Answer


class Lost(NamedTuple):
    """A call that did not return; `how` completes the sentence "the call …"."""

    call: Call
    how: str


class Asked(NamedTuple):
    """What a call asks for, as the rules see it; a pure function of call, profile and what the call names.

    size         bytes; of an array the exact product, which may exceed size_t
    limit        bytes, the largest size that this call serves
    minimum      alignment in bytes that every object has
    natural      alignment that a power of two earns, else 1
    divisor      largest power of two that divides the size
    slot         bytes of the size class, 0 where no profile promises one
    zero_from    bytes zero_from to zero_to are promised zero
    keep         leading bytes that come over from another object
    zone_end     first address beyond the memory that the mask allows, 0 where unknown
    guard        bytes behind the object that nothing else may have
    handle       address of the cache or pool that the object is of, 0 for none
    constructed  1 if the object is due in its constructed state
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
    guard: int = 0
    handle: int = 0
    constructed: int = 0
