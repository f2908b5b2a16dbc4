"""Rules of the whole machine about blocks of pages, and what is mapped from pages."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, consumes, multiple, rule
from tests.bench.whole_library import (
    AREAS,
    MASKS,
    MAY_WAIT,
    PAGE,
    SIZES,
    Library,
    Thing,
    areas,
    blocks,
    exacts,
    kvs,
)
from tests.targets.binding import ZERO, read
from tests.targets.probing import vector


class PageRules(Library):
    """Pages by order, exact and in bulk; kvmalloc, vmalloc, vmap."""

    @rule(target=blocks, order=st.integers(0, 6) | st.integers(0, 10), gfp=MASKS)
    def get_free_pages(self, order: int, gfp: int) -> MultipleResults[Thing]:
        size = PAGE << order
        thing = self.allocated(
            "__get_free_pages",
            size,
            gfp,
            order,
            gfp=gfp,
            align=size,
            usable=size,
            free=("free_pages", Thing, order),
        )
        if thing is not None:
            thing.order = order
        return self.given(thing)

    @rule(target=blocks, gfp=MASKS)
    def get_zeroed_page(self, gfp: int) -> MultipleResults[Thing]:
        return self.given(
            self.allocated(
                "get_zeroed_page", PAGE, gfp, gfp=gfp, zero=True, align=PAGE, usable=PAGE,
                free=("free_pages", Thing, 0),
            )
        )  # fmt: skip

    @rule(thing=consumes(blocks))
    def free_pages(self, thing: Thing) -> None:
        self.leave(thing)
        self.step("free_pages", thing.address, thing.order)

    @rule(target=blocks, thing=consumes(blocks))
    def split_page(self, thing: Thing) -> MultipleResults[Thing]:
        self.leave(thing)
        self.step("split_page", self.call("virt_to_page", thing.address), thing.order)
        made = [Thing(at, PAGE, PAGE, b"") for at in range(thing.address, thing.address + thing.usable, PAGE)]
        for page in made:
            self.enter(page, PAGE, ("free_pages", Thing, 0))
        return multiple(*made)

    @rule(target=blocks, count=st.integers(1, 12), gfp=MASKS)
    def alloc_pages_bulk(self, count: int, gfp: int) -> MultipleResults[Thing]:
        frames = vector([0] * count)
        got = self.step("alloc_pages_bulk", gfp, count, frames, gfp=gfp)
        assert got <= count, "more pages than asked for"
        made = []
        for frame in list(frames)[:got]:
            assert frame, "a page that was counted is none"
            page = Thing(self.call("page_address", frame), PAGE, PAGE, b"")
            assert not gfp & ZERO or not any(read(page.address, PAGE)), "not zero"
            self.enter(page, PAGE, ("free_pages", Thing, 0))
            made.append(page)
        return multiple(*made)

    @rule(target=exacts, size=AREAS, gfp=MASKS)
    def alloc_pages_exact(self, size: int, gfp: int) -> MultipleResults[Thing]:
        usable = -(-size // PAGE) * PAGE
        return self.given(
            self.allocated(
                "alloc_pages_exact", size, size, gfp, gfp=gfp, align=PAGE, usable=usable,
                free=("free_pages_exact", Thing, size),
            )
        )  # fmt: skip

    @rule(thing=consumes(exacts))
    def free_pages_exact(self, thing: Thing) -> None:
        self.leave(thing)
        self.step("free_pages_exact", thing.address, thing.size)

    @rule(size=st.integers(1, 2**30) | st.integers(0, 30).map(lambda shift: 1 << shift))
    def get_order(self, size: int) -> None:
        assert self.step("get_order", size) == max(0, ((size - 1) >> 12).bit_length())

    @rule(target=kvs, size=SIZES, gfp=MAY_WAIT, name=st.sampled_from(["kvmalloc", "kvzalloc"]))
    def kvmalloc(self, size: int, gfp: int, name: str) -> MultipleResults[Thing]:
        return self.given(
            self.allocated(
                name,
                size,
                size,
                gfp,
                gfp=gfp,
                zero=name == "kvzalloc",
                usable=size,
                free=("kvfree", Thing, None),
            )
        )

    @rule(target=kvs, thing=consumes(kvs), size=SIZES, gfp=MAY_WAIT)
    def kvrealloc(self, thing: Thing, size: int, gfp: int) -> MultipleResults[Thing]:
        return self.resized(thing, "kvrealloc", size, size, gfp, gfp=gfp, free=("kvfree", Thing, None))

    @rule(thing=consumes(kvs))
    def kvfree(self, thing: Thing) -> None:
        self.leave(thing)
        self.step("kvfree", thing.address)

    def area(self, thing: Thing | None) -> MultipleResults[Thing]:
        """Check an area's guard, frames and whether its addresses are known as an area's."""
        if thing is None:
            return multiple()
        end = thing.address + -(-thing.size // PAGE) * PAGE
        for other, _ in self.live.values():
            if other is not thing and other.order < 0:
                apart = other.address + -(-other.size // PAGE) * PAGE + PAGE <= thing.address
                assert apart or end + PAGE <= other.address, "no guard page"
        thing.order = -1  # of no block
        assert self.step("is_vmalloc_addr", thing.address)
        assert self.step("is_vmalloc_addr", thing.address + thing.size - 1)
        frames = [self.step("vmalloc_to_page", at) for at in range(thing.address, end, PAGE)]
        assert len(set(frames)) == len(frames), "two pages of one frame"
        for frame, at in zip(frames, range(0, thing.size, PAGE), strict=True):
            alias = self.call("page_address", frame)
            part = thing.content[at : at + 16]
            assert not alias or read(alias, len(part)) == part, "the frame is another's"
        return multiple(thing)

    @rule(
        target=areas, size=AREAS, name=st.sampled_from(["vmalloc", "vzalloc", "vmalloc_user", "vmalloc_32"])
    )
    def vmalloc(self, size: int, name: str) -> MultipleResults[Thing]:
        zero = name in ("vzalloc", "vmalloc_user")
        return self.area(
            self.allocated(name, size, size, zero=zero, align=PAGE, usable=size, free=("vfree", Thing, None))
        )

    @rule(target=areas, thing=consumes(areas), size=AREAS, gfp=MAY_WAIT)
    def vrealloc(self, thing: Thing, size: int, gfp: int) -> MultipleResults[Thing]:
        thing.order = 0
        made = self.resized(thing, "vrealloc", size, size, gfp, gfp=gfp, free=("vfree", Thing, None))
        return multiple(*(each for value in made.values for each in self.area(value).values))

    @rule(thing=consumes(areas))
    def vfree(self, thing: Thing) -> None:
        self.leave(thing)
        self.step("vfree", thing.address)

    @rule(things=st.lists(blocks, min_size=1, max_size=5))
    def vmap(self, things: list[Thing]) -> None:
        things = [thing for thing in things if thing.alive]
        if not things:
            return
        frames = vector([self.call("virt_to_page", thing.address) for thing in things])
        address = self.step("vmap", frames, len(things), 4, 0x163)
        if address:
            for index, thing in enumerate(things):
                assert read(address + index * PAGE, PAGE) == thing.content[:PAGE], "vmap shows another page"
            self.step("vunmap", address)
