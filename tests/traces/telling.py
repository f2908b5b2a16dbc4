"""Lines of ftrace text for tests, and what the judge says of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kmem_oracle.traces.finding import Finding
from kmem_oracle.traces.reading import Options, judge_file
from kmem_oracle.traces.summary import Summary
from kmem_spec.profile import load

BASE: Final = 0xFFFF888000000000
AT: Final = BASE + 0x1234000  # some page
USER: Final = "GFP_HIGHUSER_MOVABLE|__GFP_COMP"
SLAB: Final = "GFP_KERNEL|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP"


def event(name: str, fields: str, *, cpu: int = 0, flags: str = ".....") -> str:
    """Return a line of ftrace text."""
    return f"          worker-7       [{cpu:03d}] {flags}     7.642350: {name}: {fields}"


def kmalloc(
    start: int,
    asked: int = 64,
    given: int = 64,
    mask: str = "GFP_KERNEL",
    *,
    site: str = "f+0x1/0x2",
    cpu: int = 0,
) -> str:
    """Return the line of a kmalloc."""
    tail = f"bytes_req={asked} bytes_alloc={given} gfp_flags={mask} node=-1 accounted=false"
    return event("kmalloc", f"call_site={site} ptr={start:016x} {tail}", cpu=cpu)


def cache_alloc(
    start: int, asked: int = 64, given: int = 64, mask: str = "GFP_KERNEL", *, cpu: int = 0
) -> str:
    """Return the line of a kmem_cache_alloc."""
    tail = f"bytes_req={asked} bytes_alloc={given} gfp_flags={mask} node=-1 accounted=false"
    return event("kmem_cache_alloc", f"call_site=c+0x1/0x2 ptr={start:016x} {tail}")


def kfree(start: int, *, cpu: int = 0) -> str:
    """Return the line of a kfree."""
    return event("kfree", f"call_site=g+0x3/0x4 ptr={start:016x}", cpu=cpu)


def cache_free(start: int, name: str = "dentry") -> str:
    """Return the line of a kmem_cache_free."""
    return event("kmem_cache_free", f"call_site=h+0x3/0x4 ptr={start:016x} name={name}")


def pages(pfn: int, order: int = 0, mask: str = USER) -> str:
    """Return the line of an mm_page_alloc."""
    fields = f"page={0xFFFFF1B400000000 + 64 * pfn:016x} pfn={pfn:#x} order={order} migratetype=1"
    return event("mm_page_alloc", f"{fields} gfp_flags={mask}")


def pages_freed(pfn: int, order: int = 0) -> str:
    """Return the line of an mm_page_free."""
    return event("mm_page_free", f"page={0xFFFFF1B400000000 + 64 * pfn:016x} pfn={pfn:#x} order={order}")


def refill(pfn: int) -> str:
    """Return the line of an mm_page_alloc_zone_locked."""
    fields = f"page={0xFFFFF1B400000000 + 64 * pfn:016x} pfn={pfn:#x} order=0 migratetype=1 percpu_refill=1"
    return event("mm_page_alloc_zone_locked", fields)


def area(start: int, size: int, align: int = 1, *, failed: int = 0) -> str:
    """Return the line of an alloc_vmap_area."""
    place = f"va_start: {start} size={size} align={align}"
    return event(
        "alloc_vmap_area", f"{place} vstart=0xffffc90000000000 vend=0xffffe8ffffffffff failed={failed}"
    )


def unmapped(start: int) -> str:
    """Return the line of a free_vmap_area_noflush."""
    return event("free_vmap_area_noflush", f"va_start={start} nr_lazy=3 nr_lazy_max=32768")


class Told:
    """Judges lines through a file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "trace.txt"

    def __call__(
        self,
        *lines: str,
        profile: str = "contract",
        whole: bool = False,
        partial: bool = False,
        page_offset: int | None = None,
    ) -> Summary:
        """Return the summary of a trace of these lines."""
        self.file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        options = Options(load(profile), page_offset=page_offset, whole=whole, partial=partial)
        return judge_file(str(self.file), options)


def brief(findings: Sequence[Finding]) -> list[tuple[str, str, int, tuple[int, ...]]]:
    """Return what matters of findings: clause, certainty, line, other lines."""
    return [(found.clause, found.certainty, found.line, found.others) for found in findings]
