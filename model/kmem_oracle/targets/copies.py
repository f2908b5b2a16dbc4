"""Calls that make an object with the contents of another: kmemdup, kstrdup, kstrndup."""

from __future__ import annotations

from kmem_oracle.targets.hands import Hands, Held
from kmem_oracle.targets.records import CALLING, SKIP_SEEN, TOUCHING, Seen
from kmem_spec.units import ZERO_SIZE_PTR


class CopyCalls(Hands):
    """Copies of objects, compared with what was to be copied before they are filled.

    Objects have no NUL among their bytes. Where a string is copied, the last byte of the object is NUL
    for as long as the call takes.
    """

    def memory(self, api: str, out: int, args: tuple[int, ...]) -> Seen:
        """Run a kmemdup."""
        source, size, gfp = args
        held = self.object_at(source)
        if held is None or (size > 0 and _without_bytes(held)):
            return SKIP_SEEN
        spoilt = self.spoilt(source, held)
        if spoilt is not None:
            return spoilt
        self.words[1] = CALLING
        result = self.functions[api](held.start, size, gfp) or 0
        changed = -1
        if self.touchable(result, size):
            self.words[1] = TOUCHING
            changed = self.access.changed(result, min(size, held.size), source)
            self.words[1] = CALLING
        return self.take(api, out, result, size, 0, changed)

    def string(self, api: str, out: int, args: tuple[int, ...]) -> Seen:
        """Run a kstrdup or a kstrndup, which takes the most characters to copy before the mask."""
        source = args[0]
        held = self.object_at(source)
        if held is None or _without_bytes(held):
            return SKIP_SEEN
        if held.start <= ZERO_SIZE_PTR:
            return self.take(api, out, self.functions[api](held.start, *args[1:]) or 0, 0, 0)
        spoilt = self.spoilt(source, held)
        if spoilt is not None:
            return spoilt
        last = held.start + held.size - 1
        was = self.access.read(last, 1)
        self.access.write(last, b"\0")
        self.words[1] = CALLING
        result = self.functions[api](held.start, *args[1:]) or 0
        self.words[1] = TOUCHING
        self.access.write(last, was)
        length = min(held.size - 1, args[1] if len(args) == 3 else held.size)
        changed = -1
        if self.touchable(result, length + 1):
            changed = self.access.changed(result, length, source)
            if changed < 0 and self.access.read(result + length, 1) != b"\0":
                changed = length
        self.words[1] = CALLING
        return self.take(api, out, result, length + 1, 0, changed)


def _without_bytes(held: Held) -> bool:
    """Say whether an object is one that the driver does not touch, and so cannot copy from."""
    return held.start > ZERO_SIZE_PTR and held.size == 0
