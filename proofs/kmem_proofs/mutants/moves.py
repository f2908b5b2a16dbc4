"""Faults of the steps that move blocks in and out: take, put and extend."""

from __future__ import annotations

from kmem_model.zone import Zone
from kmem_proofs.mutants.sizes import put_in_pieces
from kmem_spec.table import require


class TakeLeavesFree(Zone):
    """Hands a block out and leaves it free."""

    def take(self, head: int, pages: int, floor: int = 0) -> None:
        """Take."""
        super().take(head, pages, floor)
        self.free.put(head, pages)


class TakesMore(Zone):
    """Hands out twice what is there."""

    def take(self, head: int, pages: int, floor: int = 0) -> None:
        """Take."""
        super().take(head, pages, floor)
        self.used.put(head, 2 * pages)


class TakesLess(Zone):
    """Hands out half, and forgets the rest."""

    def take(self, head: int, pages: int, floor: int = 0) -> None:
        """Take."""
        super().take(head, pages, floor)
        self.used.put(head, pages // 2)


class TakesUncounted(Zone):
    """Forgets the count."""

    def take(self, head: int, pages: int, floor: int = 0) -> None:
        """Take."""
        super().take(head, pages, floor)
        self.nfree = self.nfree + pages


class ComparesTooEarly(Zone):
    """Compares the floor with what is free before the block is gone."""

    def take(self, head: int, pages: int, floor: int = 0) -> None:
        """Take."""
        require(self.nfree >= floor, "PAGE-WATERMARK")
        super().take(head, pages, self.nfree - pages)


class LeavesOneMore(Zone):
    """Fails where exactly the floor would be left."""

    def take(self, head: int, pages: int, floor: int = 0) -> None:
        """Take."""
        super().take(head, pages, floor + 1)


class PutLeavesUsed(Zone):
    """Frees a block and leaves it in use."""

    def put(self, head: int, pages: int) -> None:
        """Put."""
        super().put(head, pages)
        self.used.put(head, pages)


class PutsMore(Zone):
    """Frees twice what was in use."""

    def put(self, head: int, pages: int) -> None:
        """Put."""
        super().put(head, pages)
        self.free.put(head, 2 * pages)


class PutsLess(Zone):
    """Frees half, and forgets the rest."""

    def put(self, head: int, pages: int) -> None:
        """Put."""
        super().put(head, pages)
        self.free.put(head, pages // 2)


class PutsUncounted(Zone):
    """Forgets the count."""

    def put(self, head: int, pages: int) -> None:
        """Put."""
        super().put(head, pages)
        self.nfree = self.nfree - pages


class PutsInPieces(Zone):
    """Frees a block as several."""

    def put(self, head: int, pages: int) -> None:
        """Put."""
        super().put(head, pages)
        require(pages > 3, "PAGE-HEAD")
        put_in_pieces(self, head, pages)


class ExtendsAnywhere(Zone):
    """Does not ask whether the end is a multiple of the size."""

    def extend(self, pages: int) -> int:
        """Extend."""
        head = self.end
        self.end = head + pages
        self.free.put(head, pages)
        self.nfree = self.nfree + pages
        return head


class ExtendsBackwards(Zone):
    """Puts the new block where the last one ends."""

    def extend(self, pages: int) -> int:
        """Extend."""
        head = super().extend(pages)
        self.free.put(head - pages, pages)
        return head


class ExtendsTooFar(Zone):
    """Leaves a gap at the end."""

    def extend(self, pages: int) -> int:
        """Extend."""
        head = super().extend(pages)
        self.end = self.end + pages
        return head


class ExtendsUncounted(Zone):
    """Forgets the count."""

    def extend(self, pages: int) -> int:
        """Extend."""
        head = super().extend(pages)
        self.nfree = self.nfree - pages
        return head


class ExtendsInPieces(Zone):
    """Adds several blocks."""

    def extend(self, pages: int) -> int:
        """Extend."""
        require(pages > 3, "PAGE-HEAD")
        head = super().extend(pages)
        put_in_pieces(self, head, pages)
        return head


class PutsCountedOff(Zone):
    """Takes a block back, and counts its pages as handed out."""

    def put(self, head: int, pages: int) -> None:
        """Put."""
        super().put(head, pages)
        self.nfree = self.nfree - 2 * pages


class ExtendsCountedOff(Zone):
    """Adds a block, and counts its pages as handed out."""

    def extend(self, pages: int) -> int:
        """Extend."""
        head = super().extend(pages)
        self.nfree = self.nfree - 2 * pages
        return head
