"""The reference model as a target: its kernel's calls, and the bytes of its memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from kmem_model.kernel import Kernel
from kmem_model.memory import PAGE_OFFSET
from kmem_model.procfs import FILES
from kmem_model.view import View
from kmem_oracle.targets.access import LARGEST, PATTERN, PHASES, first_difference
from kmem_oracle.targets.opened import Function, Opened, Unusable
from kmem_spec.area import VMALLOC_END, VMALLOC_START
from kmem_spec.table import Refused
from kmem_spec.units import PAGE_SIZE

MIB: Final = 1 << 20
MEMORY: Final = 4096 << 20  # bytes of the machine, where nothing else is said
LEAST: Final = 8  # MiB; twice the largest block
MOST: Final = 1 << 20


class ModelMemory:
    """The model's memory as a driver reaches it."""

    def __init__(self, view: View, memory_bytes: int = MEMORY) -> None:
        """Look through `view` into a machine of so many bytes."""
        self._view = view
        self._end = PAGE_OFFSET + memory_bytes

    def reachable(self, start: int, length: int) -> bool:
        """Say whether the extent lies in the direct map or in the vmalloc space."""
        if start >= VMALLOC_START:
            return start + length <= VMALLOC_END
        return start >= PAGE_OFFSET and start + length <= self._end

    def fill(self, start: int, length: int, identifier: int) -> None:
        """Write the pattern of an object over an extent."""
        at = identifier * 40503 & (PHASES - 1)
        if length <= LARGEST:
            self._view.write(start, PATTERN[at : at + length])
            return
        for piece in range(0, length, LARGEST):
            self.fill(start + piece, min(LARGEST, length - piece), identifier)

    def changed(self, start: int, length: int, identifier: int) -> int:
        """Return the offset of the first byte that differs from the object's pattern, or -1."""
        at = identifier * 40503 & (PHASES - 1)
        if length <= LARGEST:
            return first_difference(self._view.read(start, length), PATTERN[at : at + length])
        for piece in range(0, length, LARGEST):
            offset = self.changed(start + piece, min(LARGEST, length - piece), identifier)
            if offset >= 0:
                return piece + offset
        return -1

    def nonzero(self, start: int, begin: int, end: int) -> int:
        """Return the offset from `start` of the first byte from `begin` to `end` that is not zero, or -1."""
        offset = self._view.first_other(start + begin, end - begin, 0) if end > begin else None
        return -1 if offset is None else begin + offset

    def read(self, start: int, length: int) -> bytes:
        """Return the bytes of an extent."""
        return self._view.read(start, length)

    def write(self, start: int, data: bytes) -> None:
        """Set the bytes from `start` on."""
        self._view.write(start, data)


def open_model(memory: str = "") -> Opened:
    """Return a fresh model of a machine with so many MiB of memory; 4 GiB if that is empty.

    Errors   Unusable
    """
    return opened(kernel_of(memory))


def kernel_of(memory: str) -> Kernel:
    """Return a kernel on a machine with so many MiB of memory; 4 GiB if that is empty.

    Errors   Unusable
    """
    if memory and not (memory.isascii() and memory.isdigit() and LEAST <= int(memory) <= MOST):
        raise Unusable(f"model:{memory}: memory is a number of MiB, {LEAST} to {MOST}")
    return Kernel(int(memory) * MIB if memory else MEMORY)


def opened(kernel: Kernel) -> Opened:
    """Return a kernel as a target."""
    sleeper = Sleeper(kernel)
    functions = {name: sleeper.lenient(call) for name, call in kernel.api.items()}
    files = {name: partial(shown, kernel) for name, shown in FILES.items()}
    reached = ModelMemory(kernel.view, kernel.frames.total_pages * PAGE_SIZE)
    return Opened(functions, reached, "linux-6.1", watch=sleeper.watch, files=files)


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
