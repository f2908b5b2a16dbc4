"""The reference model as a target: its kernel's calls, and the bytes of its memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kmem_model.kernel import Kernel
from kmem_model.memory import PAGE_OFFSET, Memory
from kmem_oracle.targets.access import PATTERN, PHASES, first_difference
from kmem_oracle.targets.opened import Function, Opened
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

    def read(self, start: int, length: int) -> bytes:
        """Return the bytes of an extent."""
        return self._memory.read(start, length)

    def write(self, start: int, data: bytes) -> None:
        """Set the bytes from `start` on."""
        self._memory.write(start, data)


def open_model() -> Opened:
    """Return a fresh model."""
    kernel = Kernel(ZONE_BYTES)
    sleeper = Sleeper(kernel)
    functions = {name: sleeper.lenient(call) for name, call in kernel.api.items()}
    return Opened(functions, ModelMemory(kernel.memory), "linux-6.1", LARGEST, sleeper.watch)


class Sleeper:
    """The model's calls, which tell when they sleep, and answer NULL to the caller's mistakes."""

    def __init__(self, kernel: Kernel) -> None:
        """Tell nobody yet."""
        self._kernel = kernel
        self._asleep: Callable[[], None] = _nobody

    def watch(self, asleep: Callable[[], None]) -> None:
        """Register what is called when a call sleeps."""
        self._asleep = asleep

    def lenient(self, call: Function) -> Function:
        """Return the call with NULL for a refusal of the caller's mistake, which is the judge's to find."""
        kernel = self._kernel

        def run(*args: object) -> int | list[int] | None:
            try:
                return call(*args)
            except Refused as refused:
                if not refused.clause.startswith("CALLER-"):
                    raise
                return 0
            finally:
                if kernel.slept:
                    kernel.slept = False
                    self._asleep()

        return run


def _nobody() -> None:
    """Tell nobody."""
