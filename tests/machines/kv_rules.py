"""Rules of the kv family, which takes back what kmalloc and vmalloc gave as well."""

from __future__ import annotations

from hypothesis import strategies as st
from tests.machines.machine import Machine, masks, picks
from tests.machines.sizes import areas, shapes, sizes
from tests.machines.steps import start, step, task

from kmem_oracle.language.script import ID_NULL, ID_ZERO_SIZE
from kmem_spec.gfp import GFP_KERNEL

ANY_SIZE = st.one_of(sizes, areas, st.sampled_from([(1 << 31) - 1, 1 << 31]))


class KvRules(Machine):
    """kvmalloc and its kin, kvrealloc, kvfree."""

    @start(size=st.integers(1, 30000), lent=st.integers(1, 30000))
    def begin_kv(self, size: int, lent: int) -> None:
        self.play("kvzalloc", size, GFP_KERNEL)
        self.play("vzalloc", lent)

    @step(api=st.sampled_from(["kvmalloc", "kvzalloc"]), size=ANY_SIZE, gfp=masks)
    def kv_allocate(self, api: str, size: int, gfp: int) -> None:
        self.play(api, size, self.mask(gfp))

    @step(api=st.sampled_from(["kvmalloc_array", "kvcalloc"]), shape=shapes, gfp=masks)
    def kv_allocate_array(self, api: str, shape: tuple[int, int], gfp: int) -> None:
        self.play(api, *shape, self.mask(gfp))

    @step(size=st.integers(8193, 20 * 4096), gfp=masks)
    def kv_allocate_in_need(self, size: int, gfp: int) -> None:
        if self.has("fail_nth"):  # kmalloc has nothing, vmalloc has
            self.arm(1)
        self.play("kvmalloc", size, self.mask(gfp))

    @step(when=lambda self: task(self), size=st.integers(1, 30000), area=st.booleans())
    def lend(self, size: int, area: bool) -> None:
        if area:
            self.play("vmalloc", size)
        else:
            self.play("kmalloc", size, GFP_KERNEL)

    @step(
        when=lambda self: task(self) and self.live("kv", "kmalloc", "vmalloc"),
        pick=picks,
        size=ANY_SIZE,
        gfp=masks,
    )
    def kv_resize(self, pick: int, size: int, gfp: int) -> None:
        self.play("kvrealloc", self.one(pick, "kv", "kmalloc", "vmalloc"), size, gfp)

    @step(nothing=st.sampled_from([ID_NULL, ID_ZERO_SIZE]), size=ANY_SIZE, gfp=masks)
    def kv_resize_nothing(self, nothing: int, size: int, gfp: int) -> None:
        self.play("kvrealloc", nothing, size, self.mask(gfp))

    @step(when=lambda self: task(self) and self.live("kv", "kmalloc", "vmalloc"), pick=picks)
    def kv_free(self, pick: int) -> None:
        self.play("kvfree", self.one(pick, "kv", "kmalloc", "vmalloc"))

    @step(when=task, nothing=st.sampled_from([ID_NULL, ID_ZERO_SIZE]))
    def kv_free_nothing(self, nothing: int) -> None:
        self.play("kvfree", nothing)

    def round_of_kv(self) -> None:
        """Allocate and free."""
        for size in (100, 30000):
            if self.play("kvmalloc", size, GFP_KERNEL).result:
                self.play("kvfree", self.player.made())
