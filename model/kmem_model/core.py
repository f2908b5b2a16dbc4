"""What the calls of every family stand on: memory, pages, caches, and who was given what."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple, NoReturn

from kmem_model.caches import Caches
from kmem_model.frames import Frames
from kmem_model.memory import Memory
from kmem_model.page import machine
from kmem_model.space import Space
from kmem_model.view import View
from kmem_spec.calls import Family
from kmem_spec.extents import IndexedSpans
from kmem_spec.gfp import DIRECT_RECLAIM, ZERO, has, mask_is_legal
from kmem_spec.ledger import Ledger
from kmem_spec.table import DictTable, Refused, require
from kmem_spec.units import NULL, PAGE_SIZE

is_legal: Final = lru_cache(maxsize=4096)(mask_is_legal)


class Block(NamedTuple):
    """Whole pages in a caller's hands.

    family   the family that gave them
    order    of a block, log2 pages; of an area of many frames 0
    size     bytes that were asked for, 0 where only the order was said
    user     whether an area is for user space to see
    """

    family: Family | None
    order: int
    size: int = 0
    user: bool = False


NO_BLOCK: Final = Block(None, 0)


class Core:
    """The machine below the calls. Its tables change only by the steps of zones, caches and the ledger.

    memory    bytes by their address in the direct map
    view      bytes by any address, that of a vmalloc area too
    blocks    blocks of pages and areas in callers' hands; slabs are not among them
    freed     addresses that were given and freed, and not given again since
    lent      family of each object that is not its memory's: kv, pool; None for one in a pool's reserve
    atomic    how many preempt_disable have not been undone: in atomic context if it is not 0
    """

    def __init__(self, memory_bytes: int = 4 << 30) -> None:
        """Start a machine with `memory_bytes` of memory, nothing allocated."""
        self.memory = Memory()
        self.frames = Frames(machine(memory_bytes))
        self.caches = Caches(self.frames)
        self.frames.reclaim = self.caches.shrink
        self.space = Space(self.frames)
        self.view = View(self.memory, self.space.areas)
        self.blocks: Ledger[Block] = Ledger(IndexedSpans(), DictTable())
        self.freed: set[int] = set()
        self.lent: dict[int, Family | None] = {}
        self.atomic = 0

    def preempt_disable(self) -> None:
        """Enter atomic context, where nothing may sleep; it nests.

        Source   include/linux/preempt.h: preempt_disable
        """
        self.atomic += 1

    def preempt_enable(self) -> None:
        """Leave atomic context, if this undoes the first preempt_disable.

        Clause   CALLER-CONTEXT
        Source   include/linux/preempt.h: preempt_enable
        """
        require(self.atomic > 0, "CALLER-CONTEXT")
        self.atomic -= 1

    def may_ask(self, gfp: int) -> None:
        """Refuse a mask that may sleep in atomic context, or that is illegal.

        Clause   CALLER-CONTEXT, CALLER-GFP
        Source   include/linux/sched/mm.h: might_alloc
        """
        if self.atomic and gfp & DIRECT_RECLAIM:
            raise Refused("CALLER-CONTEXT")
        if not is_legal(gfp):
            raise Refused("CALLER-GFP")

    def may_wait(self) -> None:
        """Refuse a call that may sleep whatever its mask, in atomic context.

        Clause   CALLER-CONTEXT
        Source   include/linux/kernel.h: might_sleep
        """
        if self.atomic:
            raise Refused("CALLER-CONTEXT")

    @property
    def slept(self) -> bool:
        """Whether a call had to wait for pages since this was last set to False."""
        return self.frames.slept

    @slept.setter
    def slept(self, slept: bool) -> None:
        self.frames.slept = slept

    @property
    def fail_nth(self) -> int:
        """The n-th page allocation from now fails; 0 for none."""
        return self.frames.fail_nth

    @fail_nth.setter
    def fail_nth(self, n: int) -> None:
        self.frames.fail_nth = n

    def arm(self, n: int) -> None:
        """Let the n-th page allocation from now fail; 0 for none."""
        self.frames.fail_nth = n

    def take_block(self, family: Family, order: int, gfp: int) -> int:
        """Return the address of a block of pages for a caller, zeroed if the mask says so; or NULL."""
        address = self.frames.take(order, gfp)
        if address != NULL:
            self.hold(address, PAGE_SIZE << order, Block(family, order))
            if has(gfp, ZERO):
                self.memory.zero(address, PAGE_SIZE << order)
        return address

    def give_block(self, address: int, order: int) -> None:
        """Take a block of pages back from a caller."""
        self.let_go(address)
        self.frames.give(address, order)

    def hold(self, start: int, length: int, block: Block) -> None:
        """Enter pages that a caller gets from now on."""
        self.blocks.accept(start, length, block)
        self.freed.discard(start)

    def let_go(self, start: int) -> None:
        """Strike out the pages at `start`, which a caller gave back."""
        self.blocks.release(start)
        self.freed.add(start)

    def block_at(self, address: int) -> Block:
        """Return the block in a caller's hands that begins at `address`, or NO_BLOCK."""
        return self.blocks.records.get(address, NO_BLOCK)

    def family_at(self, address: int) -> Family | None:
        """Return the family of the live allocation that begins at `address`, None for none."""
        if address in self.lent:
            return self.lent[address]
        found = self.caches.find(address)
        return self.block_at(address).family if found is None else found[0].family

    def room_at(self, address: int) -> int:
        """Return the usable bytes of the live allocation that begins at `address`, 0 for none.

        Units    bytes
        """
        found = self.caches.find(address)
        return self.blocks.spans.get(address, 0) if found is None else found[0].cache.slot

    def refuse(self, address: int, *, freeing: bool) -> NoReturn:
        """Refuse a pointer that is not the start of anything live of the family it was passed to.

        Clause   CALLER-FAMILY, CALLER-DOUBLE-FREE, CALLER-FREE
        """
        if self.family_at(address) is not None:
            raise Refused("CALLER-FAMILY")
        raise Refused("CALLER-DOUBLE-FREE" if freeing and address in self.freed else "CALLER-FREE")
