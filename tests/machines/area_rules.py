"""Rules of vmalloc and vmap."""

from __future__ import annotations

from hypothesis import strategies as st
from tests.machines.machine import Machine, picks
from tests.machines.player import Thing
from tests.machines.sizes import areas, counts, few, overflows
from tests.machines.steps import start, step, task

from kmem_oracle.language.script import ID_NULL
from kmem_spec.gfp import GFP_KERNEL, GFP_USER, NOFAIL, NORETRY, ZERO
from kmem_spec.units import PAGE_SIZE

VM_MAP = 0x4
PAGE_KERNEL = 0x8000000000000163
area_masks = st.builds(
    lambda base, zero: base | zero,
    st.sampled_from([GFP_KERNEL, GFP_USER, GFP_KERNEL | NORETRY, GFP_KERNEL | NOFAIL]),
    st.sampled_from([0, ZERO]),
)


def is_page(thing: Thing) -> bool:
    """Say whether an object is a page or a block of them."""
    return thing.asked.family == "page"


class AreaRules(Machine):
    """vmalloc and its kin, vrealloc, vfree, vmap, vunmap, vmalloc_to_page, is_vmalloc_addr."""

    @start(size=st.integers(1, 30000), n=st.integers(2, 4))
    def begin_areas(self, size: int, n: int) -> None:
        self.play("vzalloc", size)
        self.play("alloc_pages_bulk", GFP_KERNEL, n, 0)
        self.play("vmap", self.player.made() - n + 1, n, VM_MAP, PAGE_KERNEL)

    @step(
        when=task,
        api=st.sampled_from(["vmalloc", "vzalloc", "vmalloc_user", "vmalloc_32"]),
        size=areas,
    )
    def make_area(self, api: str, size: int) -> None:
        self.play(api, size)

    @step(
        when=task,
        api=st.sampled_from(["vmalloc_array", "vcalloc"]),
        shape=st.one_of(few, st.tuples(counts, areas), overflows),
    )
    def make_area_of_array(self, api: str, shape: tuple[int, int]) -> None:
        self.play(api, *shape)

    @step(when=task, size=areas, gfp=area_masks)
    def make_area_under_mask(self, size: int, gfp: int) -> None:
        self.play("__vmalloc", size, gfp)

    @step(when=lambda self: task(self) and self.live("vmalloc"), pick=picks, size=areas, gfp=area_masks)
    def resize_area(self, pick: int, size: int, gfp: int) -> None:
        self.play("vrealloc", self.one(pick, "vmalloc"), size, gfp)

    @step(when=lambda self: task(self) and self.live("vmalloc"), pick=picks, gfp=area_masks)
    def resize_area_to_nothing(self, pick: int, gfp: int) -> None:
        self.play("vrealloc", self.one(pick, "vmalloc"), 0, gfp)

    @step(when=task, size=areas, gfp=area_masks)
    def resize_no_area(self, size: int, gfp: int) -> None:
        self.play("vrealloc", ID_NULL, size, gfp)

    @step(when=lambda self: task(self) and self.live("vmalloc"), pick=picks)
    def free_area(self, pick: int) -> None:
        self.play("vfree", self.one(pick, "vmalloc"))

    @step(when=task, api=st.sampled_from(["vfree", "vunmap"]))
    def free_no_area(self, api: str) -> None:
        self.play(api, ID_NULL)

    @step(n=st.integers(1, 6))
    def pages_to_map(self, n: int) -> None:
        self.play("alloc_pages_bulk", self.mask(GFP_KERNEL), n, 0)

    @step(when=lambda self: task(self) and self.live("page"), pick=picks, most=st.integers(1, 6))
    def map_pages(self, pick: int, most: int) -> None:
        first, count = self.row(pick, most, is_page)
        self.play("vmap", first, count, VM_MAP, PAGE_KERNEL)

    @step(when=task)
    def map_nothing(self) -> None:
        self.play("vmap", ID_NULL, 0, VM_MAP, PAGE_KERNEL)

    @step(when=lambda self: task(self) and self.live("vmap"), pick=picks)
    def unmap(self, pick: int) -> None:
        self.play("vunmap", self.one(pick, "vmap"))

    @step(when=lambda self: self.live("vmalloc", "vmap"), pick=picks, offset=picks)
    def frame_behind(self, pick: int, offset: int) -> None:
        identifier = self.one(pick, "vmalloc", "vmap")
        self.play("vmalloc_to_page", identifier, offset % self.player.things[identifier].asked.size)

    @step(when=lambda self: bool(self.player.things), pick=picks, offset=picks)
    def is_an_area(self, pick: int, offset: int) -> None:
        identifier = self.pick(list(self.player.things), pick)
        self.play("is_vmalloc_addr", identifier, offset % self.player.things[identifier].asked.size)

    @step(
        when=lambda self: task(self) and self.errs() and self.live("page", "kmalloc", "exact", "cache"),
        pick=picks,
    )
    def frame_behind_no_area(self, pick: int) -> None:
        start = self.player.things[self.one(pick, "page", "kmalloc", "exact", "cache")].start
        assert self.mistake("vmalloc_to_page", start, 0) == "CALLER-FAMILY"

    def round_of_areas(self) -> None:
        """Make areas and free them."""
        if self.play("vmalloc", 5 * PAGE_SIZE).result:
            self.play("vfree", self.player.made())
        if self.play("alloc_pages_bulk", GFP_KERNEL, 1, 0).result:
            page = self.player.made()
            if self.play("vmap", page, 1, VM_MAP, PAGE_KERNEL).result:
                self.play("vunmap", self.player.made())
            self.play("free_pages", page, 0)
