"""What a trace shows to be live, and how people are told of it: objects, their pages, blocks of pages."""

from __future__ import annotations

from typing import Final, NamedTuple

from kmem_oracle.traces.request import ObjectRequest, PageRequest
from kmem_oracle.traces.sites import Site
from kmem_spec.units import PAGE_SIZE

SLAB_MAX: Final = 8192  # bytes; what kmalloc gives beyond is a block of pages
BULK: Final = "bulk calls, which emit no event"


class Live(NamedTuple):
    """An object: the line that gave it, what was asked, by whom."""

    line: int
    request: ObjectRequest
    site: Site


class Gone(NamedTuple):
    """An object that was freed: the lines, 0 where the allocation was not seen; the families."""

    allocated: int
    freed: int
    by_cache: bool
    of_cache: bool


class Slab:
    """What lies on a page: starts and lengths; the grid if all lie on one, else 0; its cache if it is known.

    `told` is the line that told its cache's name.
    """

    __slots__ = ("grid", "name", "starts", "told")

    def __init__(self, grid: int) -> None:
        self.grid = grid
        self.starts: dict[int, int] = {}
        self.name = ""
        self.told = 0


class Block:
    """A block: the line that gave it, its place; how many pages are left of it, and when its head went."""

    __slots__ = ("head_freed", "left", "line", "order", "pfn", "request")

    def __init__(self, line: int, pfn: int, request: PageRequest) -> None:
        self.line = line
        self.pfn = pfn
        self.order = request.order
        self.request = request
        self.left = 1 << request.order
        self.head_freed = 0

    def told(self) -> str:
        """Return it for people."""
        return f"the block pfn {self.pfn:#x}, order {self.order}, of line {self.line}"


def group_of(request: ObjectRequest, site: Site) -> str:
    """Return whose object it is: its cache, or where that is not known the call site."""
    return request.cache or site.name


def told(start: int, old: Live) -> str:
    """Return an object for people."""
    return f"the {old.request.given} bytes at {start:#x} of {old.site.name}"


def is_within_kmalloc(site: Site) -> bool:
    """Say whether a call site is kmalloc's own, or an address that may be.

    Of a large kmalloc kernels since 6.13 or so tell twice: at __kmalloc, then at its caller.
    """
    return site.name.lstrip("_").startswith(("kmalloc", "kvmalloc")) or "+" not in site.name


def may_be_kfence(start: int, request: ObjectRequest) -> bool:
    """Say whether KFENCE may have placed the object, which has a page to itself, at either end of it.

    Source   mm/kfence/core.c: kfence_guarded_alloc
    """
    offset = start & (PAGE_SIZE - 1)
    left = PAGE_SIZE - offset - request.asked
    return request.asked <= PAGE_SIZE and (offset == 0 or 0 <= left < max(64, request.given & -request.given))
