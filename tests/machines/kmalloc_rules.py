"""Rules of the kmalloc family, and of the copies that are made in it."""

from __future__ import annotations

from hypothesis import strategies as st
from tests.machines.machine import Machine, masks, picks
from tests.machines.sizes import LARGEST, shapes, sizes
from tests.machines.steps import start, step, task

from kmem_oracle.language.script import ID_NULL, ID_ZERO_SIZE
from kmem_spec.gfp import GFP_KERNEL, ZERO
from kmem_spec.slab import CLASS_SIZES

nothings = st.sampled_from([ID_NULL, ID_ZERO_SIZE])


class KmallocRules(Machine):
    """kmalloc, krealloc, kfree and their kin; kmemdup, kstrdup, kstrndup."""

    @start(size=st.integers(1, 300), large=st.integers(8193, 20000))
    def begin_kmalloc(self, size: int, large: int) -> None:
        for each in (size, size, size, large):
            self.play("kzalloc", each, GFP_KERNEL)

    @step(api=st.sampled_from(["kmalloc", "kzalloc"]), size=sizes, gfp=masks)
    def allocate(self, api: str, size: int, gfp: int) -> None:
        self.play(api, size, self.mask(gfp))

    @step(api=st.sampled_from(["kmalloc_array", "kcalloc"]), shape=shapes, gfp=masks)
    def allocate_array(self, api: str, shape: tuple[int, int], gfp: int) -> None:
        self.play(api, *shape, self.mask(gfp))

    @step(size=st.integers(1, 300), n=st.integers(2, 12), gfp=masks)
    def allocate_several(self, size: int, n: int, gfp: int) -> None:
        for _ in range(n):
            self.play("kmalloc", size, self.mask(gfp))

    @step(size=st.sampled_from(CLASS_SIZES), zero=st.sampled_from([0, ZERO]))
    def use_again(self, size: int, zero: int) -> None:
        """Neighbours in one slab: one goes and comes back dirty, one grows into dirty memory."""
        gfp = self.mask(GFP_KERNEL)
        made = [self.player.made() for _ in range(3) if self.play("kzalloc", size, gfp).result]
        if len(made) == 3:
            self.play("kfree", made[1])
            self.play("kzalloc", size, gfp)
            self.play("check", made[2])
            self.play("krealloc", made[0], 2 * size, gfp | zero)

    @step(when=lambda self: self.live("kmalloc"), pick=picks, size=sizes, gfp=masks)
    def resize(self, pick: int, size: int, gfp: int) -> None:
        self.play("krealloc", self.one(pick, "kmalloc"), size, self.mask(gfp))

    @step(when=lambda self: self.live("kmalloc"), pick=picks, shape=shapes, gfp=masks)
    def resize_array(self, pick: int, shape: tuple[int, int], gfp: int) -> None:
        self.play("krealloc_array", self.one(pick, "kmalloc"), *shape, self.mask(gfp))

    @step(nothing=nothings, size=sizes, gfp=masks)
    def resize_nothing(self, nothing: int, size: int, gfp: int) -> None:
        self.play("krealloc", nothing, size, self.mask(gfp))

    @step(nothing=nothings, shape=shapes, gfp=masks)
    def resize_array_of_nothing(self, nothing: int, shape: tuple[int, int], gfp: int) -> None:
        self.play("krealloc_array", nothing, *shape, self.mask(gfp))

    @step(
        when=lambda self: self.live("kmalloc"), pick=picks, api=st.sampled_from(["kfree", "kfree_sensitive"])
    )
    def free(self, pick: int, api: str) -> None:
        self.play(api, self.one(pick, "kmalloc"))

    @step(when=lambda self: self.live("kmalloc"), pick=picks, most=st.integers(1, 12))
    def free_several(self, pick: int, most: int) -> None:
        first, count = self.row(pick, most, lambda thing: thing.asked.family == "kmalloc")
        self.play("kfree_bulk", count, first)

    @step(when=lambda self: self.live("kmalloc"), pick=picks)
    def measure(self, pick: int) -> None:
        self.play("ksize", self.one(pick, "kmalloc"))

    @step(size=sizes)
    def round_up(self, size: int) -> None:
        self.play("kmalloc_size_roundup", size)

    @step(api=st.sampled_from(["kfree", "kfree_sensitive", "ksize"]), nothing=nothings)
    def free_nothing(self, api: str, nothing: int) -> None:
        self.play(api, nothing)

    @step(when=lambda self: self.with_bytes() != [], pick=picks, part=st.floats(0, 1), gfp=masks)
    def copy_memory(self, pick: int, part: float, gfp: int) -> None:
        source = self.pick(self.with_bytes(), pick)
        self.play("kmemdup", source, int(self.player.things[source].asked.size * part), self.mask(gfp))

    @step(when=lambda self: self.with_bytes() != [], pick=picks, gfp=masks)
    def copy_string(self, pick: int, gfp: int) -> None:
        self.play("kstrdup", self.pick(self.with_bytes(), pick), self.mask(gfp))

    @step(when=lambda self: self.with_bytes() != [], pick=picks, most=st.integers(0, 300), gfp=masks)
    def copy_part_of_string(self, pick: int, most: int, gfp: int) -> None:
        self.play("kstrndup", self.pick(self.with_bytes(), pick), most, self.mask(gfp))

    @step(gfp=masks)
    def copy_nothing(self, gfp: int) -> None:
        self.play("kstrdup", ID_NULL, self.mask(gfp))
        self.play("kstrndup", ID_NULL, 3, self.mask(gfp))
        self.play("kmemdup", ID_NULL, 0, self.mask(gfp))

    @step(when=lambda self: task(self) and self.errs() and self.with_bytes() != [], pick=picks)
    def copy_too_much(self, pick: int) -> None:
        start = self.player.things[self.pick(self.with_bytes(), pick)].start
        assert self.mistake("kmemdup", start, 2 * LARGEST, GFP_KERNEL) == "CALLER-BOUNDS"

    def with_bytes(self) -> list[int]:
        """Return the ids of objects that can be copied."""
        return [each for each, thing in self.player.things.items() if thing.asked.family != "vmap"]

    def round_of_kmalloc(self) -> None:
        """Allocate and free."""
        for size in (100, 5000, 20000):
            if self.play("kmalloc", size, GFP_KERNEL).result:
                self.play("kfree", self.player.made())
