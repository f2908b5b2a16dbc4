"""Rules of the page family and of exact pages."""

from __future__ import annotations

from hypothesis import strategies as st
from tests.machines.machine import Machine, masks, picks
from tests.machines.sizes import areas, orders, sizes
from tests.machines.steps import start, step, task

from kmem_oracle.language.script import ID_NULL
from kmem_spec.gfp import COMP, GFP_KERNEL


class PageRules(Machine):
    """alloc_pages and its kin, alloc_pages_bulk, split_page, alloc_pages_exact, get_order."""

    @start(order=st.integers(1, 3), n=st.integers(2, 4), size=st.integers(1, 30000))
    def begin_pages(self, order: int, n: int, size: int) -> None:
        self.play("alloc_pages", GFP_KERNEL, order)
        self.play("alloc_pages_bulk", GFP_KERNEL, n, 0)
        self.play("alloc_pages_exact", size, GFP_KERNEL)

    @step(api=st.sampled_from(["__get_free_pages", "alloc_pages"]), gfp=masks, order=orders)
    def get_pages(self, api: str, gfp: int, order: int) -> None:
        self.play(api, self.mask(gfp), order)

    @step(gfp=masks)
    def get_zeroed(self, gfp: int) -> None:
        self.play("get_zeroed_page", self.mask(gfp))

    @step(gfp=masks, n=st.integers(0, 9))
    def get_bulk(self, gfp: int, n: int) -> None:
        self.play("alloc_pages_bulk", self.mask(gfp), n, 0)

    @step(gfp=masks, size=areas)
    def get_exact(self, gfp: int, size: int) -> None:
        self.play("alloc_pages_exact", size, self.mask(gfp) & ~COMP)

    @step(
        when=lambda self: self.live("page"), pick=picks, api=st.sampled_from(["free_pages", "__free_pages"])
    )
    def free_block(self, pick: int, api: str) -> None:
        identifier = self.one(pick, "page")
        self.play(api, identifier, self.player.things[identifier].asked.order)

    @step(when=lambda self: self.live("exact"), pick=picks)
    def free_exact(self, pick: int) -> None:
        identifier = self.one(pick, "exact")
        self.play("free_pages_exact", identifier, self.player.things[identifier].asked.size)

    @step(order=orders)
    def free_no_block(self, order: int) -> None:
        self.play("free_pages", ID_NULL, order)

    @step(when=lambda self: self.live("page"), pick=picks)
    def split(self, pick: int) -> None:
        few = [each for each in self.player.of("page") if self.player.things[each].asked.order <= 3]
        self.player.split(self.pick(few or self.player.of("page"), pick))

    @step(size=st.one_of(sizes, areas))
    def order_of(self, size: int) -> None:
        self.play("get_order", size)

    @step(
        when=lambda self: task(self) and self.errs() and self.live("page"),
        pick=picks,
        api=st.sampled_from(["free_pages", "__free_pages", "split_page"]),
    )
    def mistake_order(self, pick: int, api: str) -> None:
        start, asked, _ = self.player.things[self.one(pick, "page")]
        assert self.mistake(api, start, asked.order + 1) == "CALLER-ORDER"

    @step(when=lambda self: task(self) and self.errs() and self.live("exact"), pick=picks)
    def mistake_size(self, pick: int) -> None:
        start, asked, _ = self.player.things[self.one(pick, "exact")]
        assert self.mistake("free_pages_exact", start, asked.size + 1) == "CALLER-SIZE"

    def round_of_pages(self) -> None:
        """Take blocks, cut one up, give all back."""
        if self.play("alloc_pages", GFP_KERNEL, 2).result:
            first = self.player.made()
            self.player.split(first)
            for piece in range(first + 1, first + 5):
                self.play("__free_pages", piece, 0)
        if self.play("alloc_pages_exact", 20000, GFP_KERNEL).result:
            self.play("free_pages_exact", self.player.made(), 20000)
