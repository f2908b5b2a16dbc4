"""What the calls of every family stand on: memory, pages, caches, and who was given what."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple, NoReturn

from kmem_model.caches import Caches
from kmem_model.frames import Frames
from kmem_model.memory import Memory
from kmem_model.page import machine
from kmem_spec.calls import Family
from kmem_spec.extents import IndexedSpans
from kmem_spec.gfp import ZERO, has, mask_is_legal
from kmem_spec.ledger import Ledger
from kmem_spec.table import DictTable, Refused
from kmem_spec.units import NULL, PAGE_SIZE

is_legal: Final = lru_cache(maxsize=4096)(mask_is_legal)


class Block(NamedTuple):
    """A block of pages in a caller's hands: the family that gave it, and its order."""

    family: Family | None
    order: int


NO_BLOCK: Final = Block(None, 0)


class Core:
    """The machine below the calls. Its tables change only by the steps of zones, caches and the ledger.

    blocks    blocks of pages in callers' hands; slabs are not among them
    freed     addresses that were given and freed, and not given again since
    """

    def __init__(self, memory_bytes: int = 4 << 30) -> None:
        """Start a machine with `memory_bytes` of memory, nothing allocated."""
        self.memory = Memory()
        self.frames = Frames(machine(memory_bytes))
        self.caches = Caches(self.frames)
        self.frames.reclaim = self.caches.shrink
        self.blocks: Ledger[Block] = Ledger(IndexedSpans(), DictTable())
        self.freed: set[int] = set()

    @property
    def fail_nth(self) -> int:
        """The n-th page allocation from now fails; 0 for none."""
        return self.frames.fail_nth

    @fail_nth.setter
    def fail_nth(self, n: int) -> None:
        self.frames.fail_nth = n

    def take_block(self, family: Family, order: int, gfp: int) -> int:
        """Return the address of a block of pages for a caller, zeroed if the mask says so; or NULL."""
        address = self.frames.take(order, gfp)
        if address != NULL:
            self.blocks.accept(address, PAGE_SIZE << order, Block(family, order))
            self.freed.discard(address)
            if has(gfp, ZERO):
                self.memory.zero(address, PAGE_SIZE << order)
        return address

    def give_block(self, address: int, order: int) -> None:
        """Take a block of pages back from a caller."""
        self.blocks.release(address)
        self.frames.give(address, order)
        self.freed.add(address)

    def block_at(self, address: int) -> Block:
        """Return the block in a caller's hands that begins at `address`, or NO_BLOCK."""
        return self.blocks.records.get(address, NO_BLOCK)

    def refuse(self, address: int, *, freeing: bool) -> NoReturn:
        """Refuse a pointer that is not the start of anything live of the family it was passed to.

        Clause   CALLER-FAMILY, CALLER-DOUBLE-FREE, CALLER-FREE
        """
        if self.caches.find(address) is not None or self.block_at(address) is not NO_BLOCK:
            raise Refused("CALLER-FAMILY")
        raise Refused("CALLER-DOUBLE-FREE" if freeing and address in self.freed else "CALLER-FREE")
