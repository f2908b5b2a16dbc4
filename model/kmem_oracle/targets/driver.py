"""The driver: runs the calls of a script on a target and writes down what it saw.

It fills what it gets with a pattern of the object's id, compares before each free and resize, and looks
for zeroes where they are promised. It judges nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from kmem_oracle.script import ID_ZERO_SIZE, Op
from kmem_oracle.targets.access import Access
from kmem_spec.apis import APIS
from kmem_spec.gfp import ZERO
from kmem_spec.units import PAGE_SIZE, ZERO_SIZE_PTR

RECORD: Final = struct.Struct("<QqqqQ")  # result, usable, nonzero, changed, status
HEADER: Final = struct.Struct(
    "<QQQ"
)  # call in hand, what is being done with it, where its chunk's records go
DONE, SKIPPED, SPOILT = 0, 1, 2  # SPOILT: the object had changed before the call, which was not made
CALLING, TOUCHING = 0, 1
Seen = tuple[int, int, int, int, int]  # the fields of a record
NULL_SEEN: Final[Seen] = (0, -1, -1, -1, DONE)


class Held(NamedTuple):
    """An object in the driver's hands.

    high     largest size in bytes that it was asked to have
    zeroed   whether every call for it so far asked for zeroes
    """

    start: int
    size: int
    high: int
    zeroed: bool


_NOTHING: Final = {0: Held(0, 0, 0, False), ID_ZERO_SIZE: Held(ZERO_SIZE_PTR, 0, 0, False)}


class Driver:
    """Run calls on one target, whose functions take and give plain integers."""

    def __init__(
        self,
        functions: Mapping[str, Callable[..., int | None]],
        access: Access,
        memory: memoryview,
        largest: int,
    ) -> None:
        """Write records into `memory` after its header; touch no object of more than `largest` bytes."""
        self._functions = functions
        self._access = access
        self._memory = memory
        self._words = memory[: HEADER.size].cast("Q")
        self._largest = largest
        self._held: dict[int, Held] = {}
        self._measure = functions.get("ksize")
        roles = {
            "allocate": self._allocate,
            "resize": self._resize,
            "free": self._free,
            "measure": self._ksize,
            "look": self._check,
        }
        self._rules = {api.name: roles[api.role] for api in APIS.values() if api.role in roles}

    def run(self, ops: Sequence[Op], base: int) -> None:
        """Run a chunk; the record of call k goes to byte `base` + k records."""
        words, pack, memory = self._words, RECORD.pack_into, self._memory
        rules, size = self._rules, RECORD.size
        at = base
        words[0], words[1] = 0, CALLING
        words[2] = base
        for index, (api, out, args) in enumerate(ops):
            words[1] = CALLING
            words[0] = index
            pack(memory, at, *rules[api](api, out, args))
            at += size
        words[0] = len(ops)

    def _allocate(self, api: str, out: int, args: tuple[int, ...]) -> Seen:
        """Run a call that makes an object."""
        result = self._functions[api](*args) or 0
        shape = APIS[api]
        if shape.family == "page":
            order = args[1] if len(args) > 1 else 0
            size = PAGE_SIZE << order if order <= 32 else self._largest + 1
        else:
            size = args[0] if len(args) == 2 else args[0] * args[1]
        zeroed = shape.zeroes or args[0 if shape.family == "page" else -1] & ZERO != 0
        held = Held(result, size, size, zeroed)
        return self._take(out, held, size if zeroed else 0, shape.family == "kmalloc")

    def _take(self, out: int, held: Held, zero_to: int, measured: bool) -> Seen:
        """Look at a new object, fill it and hold it; its first `zero_to` bytes are promised zero."""
        result, size, _, _ = held
        if result == 0:
            return NULL_SEEN
        if result == ZERO_SIZE_PTR or size > self._largest or not self._access.reachable(result, size):
            self._held[out] = Held(result, 0, 0, False)
            return (result, -1, -1, -1, DONE)
        usable = -1
        if measured and self._measure is not None:
            usable = self._measure(result) or 0
        self._words[1] = TOUCHING
        nonzero = self._access.nonzero(result, 0, zero_to) if zero_to else -1
        self._access.fill(result, size, out)
        self._held[out] = held
        return (result, usable, nonzero, -1, DONE)

    def _resize(self, api: str, out: int, args: tuple[int, ...]) -> Seen:
        """Run a krealloc."""
        pointer, size, mask = args
        zeroed = mask & ZERO != 0
        held = _NOTHING.get(pointer) or self._held.get(pointer)
        if held is None:
            return (0, -1, -1, -1, SKIPPED)
        if held.start <= ZERO_SIZE_PTR:  # what was nothing becomes a new object
            result = self._functions[api](held.start, size, mask) or 0
            return self._take(out, Held(result, size, size, zeroed), size if zeroed else 0, True)
        self._words[1] = TOUCHING
        spoilt = self._access.changed(held.start, held.size, pointer)
        if spoilt >= 0:
            return (0, -1, -1, spoilt, SPOILT)
        self._words[1] = CALLING
        result = self._functions[api](held.start, size, mask) or 0
        self._words[1] = TOUCHING
        if result == 0:
            changed = self._access.changed(held.start, held.size, pointer) if size else -1
            return (0, -1, -1, changed, DONE)
        del self._held[pointer]
        if result == ZERO_SIZE_PTR or size > self._largest or not self._access.reachable(result, size):
            self._held[out] = Held(result, 0, 0, False)
            return (result, -1, -1, -1, DONE)
        changed = self._access.changed(result, min(held.size, size), pointer)
        zeroed = zeroed and held.zeroed
        nonzero = -1
        if zeroed and size > held.size:
            nonzero = self._access.nonzero(result, held.high, size)
            if nonzero < 0:
                nonzero = self._access.nonzero(result, held.size, min(held.high, size))
        _, usable, _, _, _ = self._take(out, Held(result, size, max(held.high, size), zeroed), 0, True)
        return (result, usable, nonzero, changed, DONE)

    def _free(self, api: str, _out: int, args: tuple[int, ...]) -> Seen:
        """Run a call that gives an object back."""
        pointer = args[0]
        if pointer <= 0:
            self._functions[api](ZERO_SIZE_PTR if pointer == ID_ZERO_SIZE else 0, *args[1:])
            return (0, -1, -1, -1, DONE)
        held = self._held.get(pointer)
        if held is None:
            return (0, -1, -1, -1, SKIPPED)
        self._words[1] = TOUCHING
        spoilt = self._access.changed(held.start, held.size, pointer)
        if spoilt >= 0:
            return (0, -1, -1, spoilt, SPOILT)
        self._words[1] = CALLING
        del self._held[pointer]
        self._functions[api](held.start, *args[1:])
        return (0, -1, -1, -1, DONE)

    def _ksize(self, api: str, _out: int, args: tuple[int, ...]) -> Seen:
        """Run a ksize."""
        pointer = args[0]
        if pointer <= 0:
            return (self._functions[api](ZERO_SIZE_PTR if pointer else 0) or 0, -1, -1, -1, DONE)
        held = self._held.get(pointer)
        if held is None:
            return (0, -1, -1, -1, SKIPPED)
        return (self._functions[api](held.start) or 0, -1, -1, -1, DONE)

    def _check(self, _api: str, _out: int, args: tuple[int, ...]) -> Seen:
        """Compare an object with what was written there."""
        held = self._held.get(args[0])
        if held is None:
            return (0, -1, -1, -1, SKIPPED)
        self._words[1] = TOUCHING
        return (0, -1, -1, self._access.changed(held.start, held.size, args[0]), DONE)
