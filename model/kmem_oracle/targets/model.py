"""The reference model as a target: its kernel's calls, and the bytes of its memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kmem_model.kernel import Kernel
from kmem_model.memory import PAGE_OFFSET, Memory
from kmem_oracle.targets.access import PATTERN, PHASES, Access, first_difference
from kmem_spec.table import Refused
from kmem_spec.units import MAX_ORDER, PAGE_SIZE

ZONE_BYTES: Final = 4 << 30
LARGEST: Final = PAGE_SIZE << MAX_ORDER


class ModelMemory:
    """The model's memory as a driver reaches it."""

    def __init__(self, memory: Memory) -> None:
        """Look into `memory`."""
        self._memory = memory

    def reachable(self, start: int, length: int) -> bool:
        """Say whether the extent lies in the direct map."""
        return start >= PAGE_OFFSET and start + length <= PAGE_OFFSET + ZONE_BYTES

    def fill(self, start: int, length: int, identifier: int) -> None:
        """Write the pattern of an object over an extent."""
        at = identifier * 40503 & (PHASES - 1)
        self._memory.write(start, PATTERN[at : at + length])

    def changed(self, start: int, length: int, identifier: int) -> int:
        """Return the offset of the first byte that differs from the object's pattern, or -1."""
        at = identifier * 40503 & (PHASES - 1)
        return first_difference(self._memory.read(start, length), PATTERN[at : at + length])

    def nonzero(self, start: int, begin: int, end: int) -> int:
        """Return the offset from `start` of the first byte from `begin` to `end` that is not zero, or -1."""
        offset = self._memory.first_other(start + begin, end - begin, 0) if end > begin else None
        return -1 if offset is None else begin + offset


def open_model() -> tuple[dict[str, Callable[..., int | None]], Access, str, int]:
    """Return the model's calls, the way to its memory, its profile, its largest object."""
    kernel = Kernel(ZONE_BYTES)
    functions = {name: _lenient(call) for name, call in kernel.api.items()}
    return functions, ModelMemory(kernel.memory), "linux-6.1", LARGEST


def _lenient(call: Callable[..., int | None]) -> Callable[..., int | None]:
    """Return the call with NULL for a refusal of the caller's mistake, which the judge finds by itself."""

    def run(*args: int) -> int:
        try:
            return call(*args) or 0
        except Refused as refused:
            if not refused.clause.startswith("CALLER-"):
                raise
            return 0

    return run
