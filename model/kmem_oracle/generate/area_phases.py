"""Phases of vmalloc, vmap and kvmalloc: sizes, frames, holes, resizes, cycles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kmem_oracle.generate.draws import Draws, repeated
from kmem_oracle.language.script import Op
from kmem_spec.apis import APIS
from kmem_spec.gfp import GFP_KERNEL, GFP_NOWAIT, NAMES, ZERO
from kmem_spec.units import PAGE_SIZE, SIZE_MAX

VM_MAP: Final = 4
PAGE_KERNEL: Final = 0
SIZES: Final = (1, 8, 100, 4095, 4096, 4097, 8191, 8192, 8193, 12288, 20000, 65536, 100_000, 1 << 20)
LARGE: Final = (3 << 20, 5 << 20)
TOO_LARGE: Final = (1 << 46, (1 << 47) + 1, 1 << 62, 1 << 63, SIZE_MAX - PAGE_SIZE, SIZE_MAX - 4094, SIZE_MAX)
FACTORS: Final = (2, 3, 8, 1 << 16, 1 << 32, (1 << 32) + 1, 1 << 61, 1 << 63, SIZE_MAX)
BASES: Final = (GFP_KERNEL, 0xC00, 0xC40)  # GFP_KERNEL, GFP_NOIO, GFP_NOFS: all that vmalloc takes
MORE_THAN_THERE_IS: Final = (96 << 20, 36 << 20)  # bytes; who has more runs the phase all the same


class AreaPhases(Draws):
    """Phases for targets with a vmalloc call or a kvmalloc call and what frees them."""

    def areas(self, turn: int) -> Iterator[Op]:
        """Areas of all sizes through all calls; what must fail, fails; every page has a frame of its own."""
        makers = self.of_family("vmalloc")
        live: list[int] = []
        for size in SIZES if turn % 4 else (*SIZES, *LARGE):
            for api in makers:
                if size > 1 << 16 and self.random.random() < 0.6:
                    continue
                live.append(self.new())
                yield self.area(api, live[-1], size)
                yield from self.places(live[-1], size)
                if len(live) > 9:
                    self.random.shuffle(live)
                    while len(live) > 4:
                        yield Op("vfree", 0, (live.pop(),))
        for api in makers:
            for size in (0, *TOO_LARGE):
                yield self.area(api, self.new(), size)
            if "count" in APIS[api].parameters:
                for count in FACTORS:
                    for size in ((1 << 64) // count + 1, SIZE_MAX, 1 << 63, 1 << 33):
                        if count * size > self.profile.vmalloc_max:
                            yield Op(api, self.new(), (count, size))
        for item in (0,):
            yield Op("vfree", 0, (item,))
        for item in live:
            yield Op("vfree", 0, (item,))

    def holes(self, turn: int) -> Iterator[Op]:
        """Areas side by side, freed in patterns, so that exact holes are filled again; dirty pages reused."""
        makers = self.of_family("vmalloc")
        zeroing = [api for api in makers if APIS[api].zeroes]
        pages = [self.random.randrange(1, 6) for _ in range(40 if turn == 0 else 200)]
        live = {self.new(): size for size in pages}
        for item, size in live.items():
            yield self.area(self.random.choice(makers), item, size * PAGE_SIZE)
        for item in list(live)[:: 2 + turn % 2]:
            size = live.pop(item)
            yield Op("vfree", 0, (item,))
            again = self.new()
            live[again] = size
            yield self.area(self.random.choice(zeroing or makers), again, size * PAGE_SIZE - turn % 9)
            yield from self.places(again, size * PAGE_SIZE)
        order = list(live)
        self.random.shuffle(order)
        for item in order:
            yield Op("check", 0, (item,))
        for item in order:
            yield Op("vfree", 0, (item,))

    def area_resizes(self, turn: int) -> Iterator[Op]:
        """Ladders of vrealloc, in place and moving, zeroing and not, and to nothing."""
        yield from self.ladder("vrealloc", "vfree", self.of_family("vmalloc"), 30 if turn == 0 else 120)

    def maps(self, turn: int) -> Iterator[Op]:
        """Pages mapped in any order, seen through the map, and still theirs when it goes."""
        for count in (1, 2, 3, 8, 17) if turn == 0 else (4, 5, 33, 64):
            first = self.new(count)
            for item in self.random.sample(range(first, first + count), count):
                yield Op("alloc_pages", item, (self.bases[0], 0))
            area = self.new()
            yield Op("vmap", area, (first, count, VM_MAP, PAGE_KERNEL))
            yield from self.places(area, count * PAGE_SIZE)
            other = self.new()
            yield Op("vmap", other, (first, count, VM_MAP, PAGE_KERNEL))
            yield Op("vunmap", 0, (area,))
            yield from self.places(other, count * PAGE_SIZE)
            yield Op("vunmap", 0, (other,))
            for item in range(first, first + count):
                yield Op("__free_pages", 0, (item, 0))
        yield Op("vunmap", 0, (0,))
        page, area, other = self.new(), self.new(), self.new()
        yield Op("alloc_pages", page, (self.bases[0], 0))
        yield Op("vmap", area, (page, 0, VM_MAP, PAGE_KERNEL))  # of no pages
        yield Op("vmap", other, (page, 1, VM_MAP, PAGE_KERNEL))
        yield Op("vunmap", 0, (other,))
        yield Op("vunmap", 0, (area,))
        yield Op("__free_pages", 0, (page, 0))

    def area_cycles(self, turn: int) -> Iterator[Op]:
        """Areas made and freed alone, and such as there is no memory for, until a leak shows."""
        maker = "vmalloc" if "vmalloc" in self.apis else self.of_family("vmalloc")[0]
        size = (64, 16, 200)[turn % 3] * PAGE_SIZE
        one, two, three = self.new(), self.new(), self.new()
        end = Op("vfree", 0, (one,))
        yield from repeated(40 if turn == 0 else 2000, self.area(maker, one, size), end)
        yield from repeated(120, self.area(maker, one, 1), end)
        yield from repeated(90, self.area(maker, one, 2 << 20), end)  # addresses may run out before memory
        for much in MORE_THAN_THERE_IS:
            yield from repeated(
                20, self.area(maker, one, 1 << 20), self.area(maker, two, much), Op("vfree", 0, (two,)), end
            )
        if "vrealloc" in self.apis and maker == "vmalloc":
            grown = Op("vrealloc", three, (three, 60 * PAGE_SIZE, GFP_KERNEL))
            gone = Op("vrealloc", three, (three, 0, GFP_KERNEL))
            yield from repeated(300, self.area(maker, three, 3 * PAGE_SIZE), grown, gone)
            if turn:
                larger = Op("vrealloc", three, (three, 2049 * PAGE_SIZE, GFP_KERNEL))
                yield from repeated(30, self.area(maker, three, 2048 * PAGE_SIZE), larger, gone)

    def either(self, turn: int) -> Iterator[Op]:
        """kvmalloc at the sizes where it goes another way, overflowing products, and resizes."""
        makers = self.of_family("kv")
        live: list[int] = []
        edges = (1, 8, 64, 4095, 4096, 4097, 8192, 8193, 65536, 200_000, 1 << 22, (1 << 22) + 1)
        for size in edges if turn % 2 == 0 else [self.random.randrange(1, 1 << 20) for _ in range(20)]:
            for api in makers:
                if size > 1 << 20 and self.random.random() < 0.5:
                    continue
                live.append(self.new())
                yield self.either_op(api, live[-1], size)
                if len(live) > 6:
                    yield Op("kvfree", 0, (live.pop(self.random.randrange(len(live))),))
        for api in makers:
            for size in (1 << 31, 1 << 32, *TOO_LARGE, 0):
                yield self.either_op(api, self.new(), size)
            if "count" in APIS[api].parameters:
                for count in FACTORS:
                    for size in ((1 << 64) // count + 1, SIZE_MAX, 1 << 63):
                        yield Op(api, self.new(), (count, size, self.bases[0]))
        for item in (0, -1, *live):
            yield Op("kvfree", 0, (item,))
        for api in makers:  # dirty memory, made large enough to be had another way, comes back zeroed
            if APIS[api].zeroes:
                for size in (200_000, (1 << 22) + 1):
                    for each in (makers[0], api):
                        item = self.new()
                        yield self.either_op(each, item, size)
                        yield Op("kvfree", 0, (item,))
        if "kvrealloc" in self.apis:
            yield from self.ladder("kvrealloc", "kvfree", makers, 40)
        for mask in (
            GFP_NOWAIT,
            NAMES[self.profile.gfp]["GFP_ATOMIC"],
        ):  # they may not sleep, whatever the way
            for size in (100, 20_000, (1 << 22) + 1):
                item = self.new()
                shape = (1, size, mask) if "count" in APIS[makers[0]].parameters else (size, mask)
                yield Op(makers[0], item, shape)
                yield Op("kvfree", 0, (item,))
        item = self.new()
        for size, count in ((5 << 20, 24), (100_000, 200), (3000, 100)):
            make = self.either_op(makers[0], item, size)
            yield from repeated(count, make, Op("kvfree", 0, (item,)))
        if "kvrealloc" in self.apis:
            yield from self.across(makers[0])

    def across(self, maker: str) -> Iterator[Op]:
        """Objects that grow from one way of having them to the other, and back, over dirty memory."""
        dirt, item = self.new(), self.new()
        for zero in (0, ZERO):
            for small, large in ((20_000, 5 << 20), (100, 4 << 20), (9_000, (4 << 20) + 1)):
                if self.has("vmalloc", "vfree"):
                    yield Op("vmalloc", dirt, (6 << 20,))
                    yield Op("vfree", 0, (dirt,))
                yield self.either_op(maker, item, small, zero)
                for size in (large, small // 2, large):
                    yield Op("kvrealloc", item, (item, size, GFP_KERNEL | zero))
                yield Op("kvfree", 0, (item,))

    def ladder(self, resize: str, end: str, makers: list[str], count: int) -> Iterator[Op]:
        """Make objects and resize them up and down."""
        for _ in range(count):
            item = self.new()
            zero = ZERO if self.random.random() < 0.5 else 0
            size = self.random.choice(SIZES[:-2])
            if APIS[makers[0]].family == "kv":
                yield self.either_op(self.random.choice(makers), item, size, zero)
            elif zero and "__vmalloc" in self.apis:
                yield Op("__vmalloc", item, (size, GFP_KERNEL | ZERO))
            else:
                yield self.area(self.random.choice(makers), item, size)
            for _ in range(self.random.randrange(1, 5)):
                size = self.random.choice((*SIZES[:-2], size + 1, size * 2, max(1, size // 3)))
                keep = zero if self.random.random() < 0.9 else 0
                yield Op(resize, item, (item, size, GFP_KERNEL | keep))
            if self.random.random() < 0.2:
                yield Op(resize, item, (item, 1 << 62, GFP_KERNEL))
            if self.random.random() < 0.3 and resize == "vrealloc":
                yield Op(resize, item, (item, 0, GFP_KERNEL))
            else:
                yield Op(end, 0, (item,))

    def places(self, item: int, size: int) -> Iterator[Op]:
        """Ask for the frames of an area, all of a small one, and whether its ends are vmalloc's."""
        if "vmalloc_to_page" in self.apis:
            count = (size + PAGE_SIZE - 1) // PAGE_SIZE
            chosen = range(count) if count <= 8 else sorted({0, 1, count // 2, count - 2, count - 1})
            for page in chosen:
                place = page * PAGE_SIZE + (0, PAGE_SIZE - 1, PAGE_SIZE // 2)[page % 3]
                yield Op("vmalloc_to_page", 0, (item, min(place, max(size - 1, 0))))
            yield Op("vmalloc_to_page", 0, (item, max(size - 1, 0)))
        if "is_vmalloc_addr" in self.apis:
            yield Op("is_vmalloc_addr", 0, (item, 0))
            yield Op("is_vmalloc_addr", 0, (item, max(size - 1, 0)))

    def area(self, api: str, item: int, size: int) -> Op:
        """Return the call of the vmalloc family that makes an area."""
        if "count" in APIS[api].parameters:
            count = next((n for n in (3, 2) if size % n == 0), 1) if size else 0
            return Op(api, item, (count, size // max(count, 1)))
        if api == "__vmalloc":
            zero = ZERO if self.random.random() < 0.4 else 0
            return Op(api, item, (size, self.random.choice(BASES) | zero))
        return Op(api, item, (size,))

    def either_op(self, api: str, item: int, size: int, zero: int = 0) -> Op:
        """Return the call of the kvmalloc family that makes an object."""
        mask = self.bases[0] | zero
        if "count" in APIS[api].parameters:
            count = next((n for n in (5, 2) if size % n == 0), 1) if size else 0
            return Op(api, item, (count, size // max(count, 1), mask))
        return Op(api, item, (size, mask))
