"""The calls that copy into memory of the kmalloc family."""

from __future__ import annotations

from kmem_model.kmalloc import KmallocCalls
from kmem_spec.table import require
from kmem_spec.units import NULL


class CopyCalls(KmallocCalls):
    """kmemdup kstrdup kstrndup.

    Units    lengths in bytes, pointers as addresses
    Errors   Refused under a CALLER clause for the caller's mistakes; then nothing has changed
    """

    def kmemdup(self, source: int, length: int, gfp: int) -> int:
        """Return the address of a copy of the first `length` bytes of a live object, or NULL.

        Clause   CALLER-FREE, CALLER-BOUNDS, CALLER-GFP, CALLER-CONTEXT
        Gives    ZERO_SIZE_PTR for nothing to copy, whatever the source
        Source   mm/util.c: kmemdup
        """
        if length > 0:
            require(length <= self._room(source), "CALLER-BOUNDS")
        return self._copy(self.kmalloc(length, gfp), source, length)

    def kstrdup(self, source: int, gfp: int) -> int:
        """Return the address of a copy of the string at the start of a live object, or NULL.

        Clause   CALLER-FREE, CALLER-BOUNDS, CALLER-GFP, CALLER-CONTEXT
        Gives    NULL for NULL
        Source   mm/util.c: kstrdup
        """
        self.may_ask(gfp)
        if source == NULL:
            return NULL
        room = self._room(source)
        length = self._length(source, room)
        require(length < room, "CALLER-BOUNDS")
        return self._copy(self.kmalloc(length + 1, gfp), source, length + 1)

    def kstrndup(self, source: int, most: int, gfp: int) -> int:
        """Do as kstrdup, for no more than `most` bytes of the string; a NUL is put behind them.

        Clause   CALLER-FREE, CALLER-BOUNDS, CALLER-GFP, CALLER-CONTEXT
        Gives    NULL for NULL
        Source   mm/util.c: kstrndup
        """
        self.may_ask(gfp)
        if source == NULL:
            return NULL
        room = self._room(source)
        length = self._length(source, min(room, most))
        require(length < room or length == most, "CALLER-BOUNDS")
        new = self._copy(self.kmalloc(length + 1, gfp), source, length)
        if new != NULL:
            self.memory.zero(new + length, 1)
        return new

    def _room(self, source: int) -> int:
        """Return the bytes of the live object, of any family, that begins at `source`.

        Clause   CALLER-FREE
        """
        require(self.family_at(source) is not None, "CALLER-FREE")
        return self.room_at(source)

    def _length(self, start: int, most: int) -> int:
        """Return how many bytes precede the first NUL at `start`; `most` if that many do."""
        length = self.view.read(start, most).find(0)
        return most if length < 0 else length

    def _copy(self, new: int, source: int, length: int) -> int:
        """Copy into new memory, if there is any, and return its address."""
        if new != NULL and length > 0:
            self.view.copy(source, new, length)
        return new
