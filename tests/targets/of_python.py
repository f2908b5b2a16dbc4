"""Python objects as targets: a class of a few lines, the model as a mapping, and some that go wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

from kmem_model.kernel import Kernel

ZERO = 0x100  # __GFP_ZERO


class Toy:
    """Powers of two over some bytes, each of which ends up there again."""

    profile = "contract"

    def __init__(self) -> None:
        """Begin with 16 MiB, all of them dirty."""
        self.bytes = bytearray(b"\xaa" * (1 << 24))
        self.free: dict[int, list[int]] = {}
        self.rooms: dict[int, int] = {}
        self.top = 1 << 16
        self.access = self

    def read(self, start: int, length: int) -> bytes:
        """Return bytes."""
        return bytes(self.bytes[start : start + length])

    def write(self, start: int, data: bytes) -> None:
        """Set bytes."""
        self.bytes[start : start + len(data)] = data

    def kmalloc(self, size: int, gfp: int) -> int:
        """Return memory of the next power of two."""
        room = max(8, 1 << (size - 1).bit_length())
        if not size or room > 1 << 22:
            return 0 if size else 16
        if not self.free.get(room):
            start = -(-self.top // room) * room
            if start + room > len(self.bytes):
                return 0
            self.top = start + room
            self.free.setdefault(room, []).append(start)
        start = self.free[room].pop()
        self.rooms[start] = room
        if gfp & ZERO:
            self.write(start, bytes(size))
        return start

    def kfree(self, pointer: int) -> None:
        """Take memory back."""
        if pointer in self.rooms:
            self.free[self.rooms[pointer]].append(pointer)

    def __get_free_pages(self, gfp: int, order: int) -> int:
        """Return pages."""
        return self.kmalloc(4096 << order, gfp) if order <= 10 else 0

    def free_pages(self, start: int, _order: int) -> None:
        """Take pages back."""
        self.kfree(start)


class Blind(Toy):
    """Memory that nobody can reach."""

    def __init__(self) -> None:
        """Have no access."""
        super().__init__()
        del self.access


class Lazy(Toy):
    """Zeroes that are promised are not there."""

    def kmalloc(self, size: int, gfp: int) -> int:
        """Clear nothing."""
        return super().kmalloc(size, gfp & ~ZERO)


class Sleepy(Toy):
    """Every call sleeps, and tells so."""

    def on_sleep(self, asleep: Callable[[], None]) -> None:
        """Keep what is to be told."""
        self.asleep = asleep

    def kmalloc(self, size: int, gfp: int) -> int:
        """Sleep whatever the mask."""
        self.asleep()
        return super().kmalloc(size, gfp)


class Wild(Toy):
    """Memory outside of the bytes."""

    def kmalloc(self, _size: int, _gfp: int) -> int:
        """Return an address that has no bytes."""
        return 1 << 30

    def write(self, start: int, data: bytes) -> None:
        """Reach what is there."""
        for place, byte in enumerate(data):
            self.bytes[start + place] = byte


class Broken(Toy):
    """Each size fails in a way of its own."""

    def kmalloc(self, size: int, gfp: int) -> int:
        """Raise, leave or hang."""
        if size == 1:
            raise KeyError("one\nis too few")
        if size == 2:
            raise SystemExit(3)
        if size == 3:
            time.sleep(300)
        return super().kmalloc(size, gfp)


def senseless() -> dict[str, object]:
    """Return calls of which one gives what it is told to, and that is no address."""
    wrong: dict[int, object] = {4: "four", 5: -1, 6: 1 << 64, 7: 7.0}
    return {"kmalloc": lambda size, _gfp: wrong.get(size, "nothing"), "kfree": lambda _pointer: None}


def model() -> dict[str, object]:
    """Return the calls of the model, which has them by name, and its memory."""
    kernel = Kernel()
    return {**kernel.api, "access": kernel.view, "profile": "linux-6.1"}


def raising() -> None:
    """Raise as it is made."""
    raise ValueError("not today")


nothing = object()
