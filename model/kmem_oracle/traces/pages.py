"""Pages: blocks that the page allocator gives and takes, and the objects that lie on them.

Every way to free a page emits an event, so a block that is given out while it is live is a violation. Some
ways to get one emit none (alloc_pages_bulk, compaction), so a second free is a suspect at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kmem_oracle.traces.asked import Asked
from kmem_oracle.traces.case import Case, forget_oldest
from kmem_oracle.traces.live import Block, Slab
from kmem_oracle.traces.request import PageRequest
from kmem_spec.units import PAGE_SHIFT, PAGE_SIZE

NEAR: Final = 2048  # lines in which lists of pages that each CPU keeps hardly serve a bulk call unnoticed
MANY: Final = 16  # lines that a finding names
LARGEST: Final = 20  # order, log2 of pages, above which no machine has blocks
SILENT: Final = "alloc_pages_bulk or compaction, which emit no event"
Silent = tuple[str, tuple[int, ...], str]


class Pages:
    """The blocks that are live, page by page."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.live: dict[int, Block] = {}
        self.on_page: dict[int, Slab] = {}
        self.areas_over: Callable[[int], int] = lambda _start: 0
        self.evict: Callable[[int, int], None] = lambda _line, _page: None
        self.clear: Callable[[int], list[int]] = lambda _page: []
        self.gone: dict[int, int] = {}
        self.torn: dict[int, Block] = {}
        self.asked = Asked(case)
        self._refused = self.asked.refused
        self._crooked: dict[int, int] = {}

    def allocate(self, line: int, pfn: int, struct: int, request: PageRequest, atomic: bool) -> None:
        """Judge a block that was handed out; pfn is -1 for a request that failed."""
        case = self.case
        case.judged += 1
        case.page_events += 1
        request.count += 1
        if request.wrong or atomic:
            self.asked.judge(line, request, request.text, given=pfn >= 0, atomic=atomic)
        if pfn < 0:
            case.failed = True
            if request.nofail:
                self.asked.refuse(line, _refusal(request))
            return
        order = request.order
        if order > LARGEST:
            return
        if self._refused and request.nofail:
            self.asked.grant(line, _refusal(request), request.text)
        if not case.map.sure:
            case.map.saw_block(line, pfn, order, struct)
        if case.map.base is None:
            case.page_alloc = line
        if pfn & ((1 << order) - 1):
            self._misaligned(line, pfn, order)
            return
        if request.zone_end and ((pfn + (1 << order)) << PAGE_SHIFT) > request.zone_end:
            message = f"{_pages(pfn, order)} with {request.text} lies beyond the zone's end"
            case.find("PAGE-ZONE", line, (), message, group=request.text)
        block = Block(line, pfn, request)
        live = self.live
        for page in range(pfn, pfn + (1 << order)) if order else (pfn,):
            if page in live:
                self._twice(line, page, "allocated", self.live[page])
            live[page] = block
            self.gone.pop(page, None)
        if case.map.base is not None:
            for page in range(case.map.base + pfn, case.map.base + pfn + (1 << order)):
                if page in self.on_page:
                    self._over_objects(line, page, block)

    def free(self, line: int, pfn: int, order: int) -> None:
        """Judge a block that is given back."""
        case = self.case
        case.page_events += 1
        case.page_free = line
        live = self.live
        block = live.pop(pfn, None)
        if order > LARGEST:
            case.find("CALLER-ORDER", line, (), f"pfn {pfn:#x} is freed with order {order}")
            return
        if block is None:
            self._unknown(line, pfn, order)
        else:
            case.judged += 1
            if block.order != order or block.pfn != pfn:
                self._part(line, pfn, order, block)
        if order:
            for page in range(pfn + 1, pfn + (1 << order)):
                other = live.pop(page, None)
                if other is not None and other is not block:
                    self._not_its_own(line, pfn, order, other)
                self.gone[page] = line
        self.gone[pfn] = line
        base = case.map.base
        if base is None:
            case.unmapped_free = line
            return
        for page in range(base + pfn, base + pfn + (1 << order)) if order else (base + pfn,):
            if page in self.on_page:
                self.evict(line, page)

    def batched(self, line: int, pfn: int) -> None:
        """Take a page of a list that is freed; kernels before 2.6.37 emit nothing else."""
        self.case.page_events += 1
        self.case.page_free = line
        if self.live.pop(pfn, None) is not None:
            self.case.judged += 1

    def refill(self, line: int, pfn: int, order: int, how: str) -> None:
        """Judge a block that the buddy allocator parts with, or gets back from a CPU's list: it is free."""
        self.case.page_events += 1
        if order > LARGEST:
            return
        for page in range(pfn, pfn + (1 << order)) if order else (pfn,):
            if page in self.live:
                self._twice(line, page, how, self.live[page])
            self.gone.pop(page, None)
        self.case.judged += 1

    def meet(self, line: int, start: int, length: int, block: Block) -> None:
        """Judge an object that lies in a live block of which no slab can be made."""
        base = self.case.map.base or 0
        whole = start == (base + block.pfn) << PAGE_SHIFT and length == PAGE_SIZE << block.order
        if whole and not block.request.mask.bits & 0xA:
            return  # a large kmalloc, which may be zeroed
        message = f"{length} bytes at {start:#x} lie in {block.told()}, which is live"
        group = block.request.text
        self.case.find("MEM-APART", line, (block.line,), message, group=group, rests="page events")
        self._forget(block)

    def not_an_object(self, start: int) -> Silent | None:
        """Return what shows that an address is that of no object: a clause, lines and words."""
        area = self.areas_over(start)
        if area:
            return "CALLER-FAMILY", (area,), f"it lies in the area of line {area}"
        if start & (7 if start >> 32 else 3):
            return "CALLER-FREE", (), "no object starts at such an odd address"
        if self.case.map.is_beyond(start):
            return "CALLER-FREE", (), "it does not lie in the direct map"
        base = self.case.map.base
        if base is None:
            return None
        block = self.live.get((start >> PAGE_SHIFT) - base)
        if block is None or block.request.slabs:
            return None
        head = start == (base + block.pfn) << PAGE_SHIFT
        return "CALLER-FAMILY" if head else "CALLER-FREE", (block.line,), f"it is {block.told()}"

    def tidy(self) -> None:
        """Bound the memory of what is gone."""
        forget_oldest(self.gone, len(self.live))
        forget_oldest(self._crooked, 0)

    def close(self) -> None:
        """Report blocks whose head was freed with a smaller order, and of which the rest is live still."""
        for block in list(self.torn.values()):
            self._torn(block, (block.line,), "the rest is live at the end")

    def _misaligned(self, line: int, pfn: int, order: int) -> None:
        """Report a block that is not aligned; it is not judged any further."""
        message = f"{_pages(pfn, order)} does not start at a multiple of its size"
        self.case.find("PAGE-ALIGN", line, (), message)
        self._crooked[pfn] = line

    def _twice(self, line: int, page: int, how: str, old: Block) -> None:
        """Report a live page that is handed out, or lies with the free ones."""
        if old.head_freed:
            self._torn(old, (old.line, line), f"pfn {page:#x} of the rest is {how} at line {line}")
        else:
            message = f"pfn {page:#x} is {how}; it is in {old.told()}, which is live"
            self.case.find("MEM-APART", line, (old.line,), message, rests="page events")
        self._forget(old)

    def _torn(self, block: Block, others: tuple[int, ...], why: str) -> None:
        """Report a block that was freed with a smaller order than it has."""
        self.torn.pop(block.pfn, None)
        sure = len(others) > 1
        self.case.find(
            "CALLER-ORDER",
            block.head_freed,
            others,
            f"{block.told()} is freed with a smaller order; {why}",
            certainty="violation" if sure else "suspect",
            rests="events",
            explained="" if sure else "split_page, which emits no event",
        )

    def _forget(self, block: Block) -> None:
        """Take a block out of the books."""
        self.torn.pop(block.pfn, None)
        for page in range(block.pfn, block.pfn + (1 << block.order)):
            if self.live.get(page) is block:
                del self.live[page]

    def _over_objects(self, line: int, page: int, block: Block) -> None:
        """Report a block that is handed out with live objects on it."""
        lines = self.clear(page)
        sure = self.case.unmapped_free < lines[0]
        start = page << PAGE_SHIFT
        self.case.find(
            "MEM-APART",
            line,
            tuple(lines[:MANY]),
            f"{block.told()} is handed out, with {len(lines)} live objects on its page {start:#x}",
            certainty="violation" if sure else "suspect",
            rests="events",
            explained="" if sure else "pages that change hands before the direct map is known",
        )

    def _part(self, line: int, pfn: int, order: int, block: Block) -> None:
        """Judge the free of what is not just the block; parts of it may have been split off."""
        end = block.pfn + (1 << block.order)
        if order >= block.order or pfn + (1 << order) > end or pfn & ((1 << order) - 1):
            message = f"{_pages(pfn, order)} is freed; allocated was {block.told()}"
            self.case.find("CALLER-ORDER", line, (block.line,), message, rests="events")
            self._forget(block)
            return
        block.left -= 1 << order
        if block.left <= 0:
            self.torn.pop(block.pfn, None)
        elif pfn == block.pfn:
            block.head_freed = line
            self.torn[pfn] = block

    def _not_its_own(self, line: int, pfn: int, order: int, other: Block) -> None:
        """Report a free that takes another block along."""
        message = f"{_pages(pfn, order)} is freed, of which a part is {other.told()}, a block of its own"
        self.case.find("CALLER-ORDER", line, (other.line,), message, rests="events")
        self._forget(other)

    def _unknown(self, line: int, pfn: int, order: int) -> None:
        """Judge the free of a block that is not known to be live."""
        case = self.case
        before = self.gone.pop(pfn, 0)
        if self._crooked.pop(pfn, 0):
            return
        if pfn & ((1 << order) - 1):
            message = f"{_pages(pfn, order)} is freed, which is no block: it does not start at a multiple"
            case.find("CALLER-ORDER", line, (), message)
        elif before and line - before < NEAR:
            case.find(
                "CALLER-DOUBLE-FREE",
                line,
                (before,),
                f"{_pages(pfn, order)} is freed again, and was not allocated since line {before}",
                certainty="suspect",
                explained=SILENT,
            )
        elif case.whole:
            message = f"{_pages(pfn, order)} is freed, which was never allocated"
            case.find("CALLER-FREE", line, (), message, certainty="suspect", explained=SILENT)
        elif before:
            case.unseen[f"frees of pages that went out again without an event ({SILENT})"] += 1
            return
        else:
            case.unseen["frees of pages whose allocation is not in the trace"] += 1
            return
        case.judged += 1


def _pages(pfn: int, order: int) -> str:
    """Return a block for people."""
    return f"pfn {pfn:#x}, order {order}"


def _refusal(request: PageRequest) -> str:
    """Return the words that a request failed."""
    return f"a block with {request.text} is NULL"
