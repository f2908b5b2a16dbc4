"""Programs for threads: phases of calls made side by side, each after what a missing lock would show.

Ids are never used twice. A thread frees what it made, and now and then what another has made just before;
an object that is not there yet is left to the end, when all that is left is freed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from kmem_oracle.language.script import Op
from kmem_oracle.threads.losses import CYCLES
from kmem_spec.gfp import GFP_ATOMIC, GFP_KERNEL, GFP_NOWAIT, ZERO
from kmem_spec.units import PAGE_SIZE

STEPS: Final = 900  # times that each thread acts in a round; it makes two calls then at most
ROUNDS: Final = 3
KEPT: Final = 16  # objects of a thread that live at a time
FEW_STEPS: Final = 150  # of a round that is played CYCLES times
FEW_KEPT: Final = 4  # objects of a thread in it
LARGE: Final = (32_768, 131_072)  # bytes of its objects
HANDED: Final = 0.15  # share of the objects that another thread frees
SIZES: Final = (8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192)


@dataclass(frozen=True, slots=True)
class ThreadPhase:
    """Calls made alone, then rounds of calls side by side, then calls made alone again.

    cycles   how often all that is made, one time after the other on the same target
    """

    name: str
    before: list[Op]
    rounds: list[list[list[Op]]]
    after: list[Op]
    cycles: int = 1


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object: how to make one under an id, how to free it, and how to do something else with it."""

    make: Callable[[int], Op]
    free: Callable[[int], Op]
    use: Callable[[int], Op]


class Programs:
    """Make phases for a target with the calls `apis`, for so many threads."""

    def __init__(self, seed: str, apis: frozenset[str], threads: int) -> None:
        """Draw everything from `seed`."""
        self.random = random.Random(seed)
        self.apis = apis
        self.threads = threads
        self.next = 1

    def names(self) -> list[str]:
        """Return the phases that the target has the calls for."""
        needs = {
            "kmalloc": ("kmalloc", "kfree"),
            "resizes": ("kmalloc", "krealloc", "kfree"),
            "caches": ("kmem_cache_create", "kmem_cache_alloc", "kmem_cache_free", "kmem_cache_destroy"),
            "births": ("kmem_cache_create", "kmem_cache_alloc", "kmem_cache_free", "kmem_cache_destroy"),
            "pages": ("__get_free_pages", "free_pages"),
            "pools": (
                "mempool_create",
                "mempool_alloc",
                "mempool_free",
                "mempool_destroy",
                "kmalloc",
                "kfree",
            ),
            "areas": ("vmalloc", "vfree"),
            "everything": ("kmalloc", "kfree"),
            "losses": ("kmalloc", "kfree"),
        }
        return [name for name, calls in needs.items() if self.apis.issuperset(calls)]

    def phase(self, name: str) -> ThreadPhase:
        """Return the phase of that name."""
        before: list[Op] = []
        after: list[Op] = []
        if name == "births":
            rounds = [[self.births() for _ in range(self.threads)] for _ in range(ROUNDS)]
            return ThreadPhase(name, before, rounds, after)
        if name == "losses":
            programs, frees = self.round(self.large(), steps=FEW_STEPS, kept=FEW_KEPT)
            return ThreadPhase(name, before, [programs], frees, CYCLES)
        kinds = self.kinds(name, before, after)
        made: list[Op] = []
        rounds = []
        for _ in range(ROUNDS):
            programs, frees = self.round(kinds)
            rounds.append(programs)
            made += frees
        return ThreadPhase(name, before, rounds, made + after)

    def kinds(self, name: str, before: list[Op], after: list[Op]) -> list[Kind]:
        """Return the kinds of object of a phase; what they need is made before and destroyed after."""
        if name == "kmalloc":
            return self.kmallocs(resizes=False)
        if name == "resizes":
            return self.kmallocs(resizes=True)
        if name == "caches":
            return self.caches(before, after)
        if name == "pages":
            return self.blocks()
        if name == "pools":
            return self.pools(before, after)
        if name == "areas":
            return self.areas()
        others = [each for each in self.names() if each not in ("births", "everything", "losses")]
        return [kind for each in others for kind in self.kinds(each, before, after)]

    def kmallocs(self, *, resizes: bool) -> list[Kind]:
        """Return objects of a few sizes, so that threads meet in the same slabs."""
        sizes = self.random.sample(SIZES, 3)
        maker = "kzalloc" if "kzalloc" in self.apis else "kmalloc"
        frees = ["kfree", *(name for name in ("kfree_sensitive", "kvfree") if name in self.apis)]

        def kind(size: int) -> Kind:
            def make(item: int) -> Op:
                mask = GFP_KERNEL if self.random.random() < 0.8 else GFP_ATOMIC
                zero = self.random.random() < 0.2
                return Op(maker if zero else "kmalloc", item, (size, mask))

            def use(item: int) -> Op:
                if not resizes:
                    return Op("check", 0, (item,))
                return Op("krealloc", item, (item, self.random.choice((*sizes, size + 1, 3)), GFP_KERNEL))

            def free(item: int) -> Op:
                return Op(self.random.choice(frees), 0, (item,))

            return Kind(make, free, use)

        return [kind(size) for size in sizes]

    def large(self) -> list[Kind]:
        """Return large objects of one family, of which few that are lost use up the memory."""

        def kind(make: Op, free: Op) -> Kind:
            return Kind(
                lambda item: make._replace(out=item),
                lambda item: free._replace(args=(item, *free.args[1:])),
                lambda item: Op("check", 0, (item,)),
            )

        families = [[kind(Op("kmalloc", 0, (size, GFP_KERNEL)), Op("kfree", 0, (0,))) for size in LARGE]]
        if self.apis >= {"__get_free_pages", "free_pages"}:
            blocks = [
                (Op("__get_free_pages", 0, (GFP_KERNEL, order)), Op("free_pages", 0, (0, order)))
                for order in (3, 5)
            ]
            families.append([kind(make, free) for make, free in blocks])
        if self.apis >= {"vmalloc", "vfree"}:
            families.append([kind(Op("vmalloc", 0, (size,)), Op("vfree", 0, (0,))) for size in LARGE])
        return self.random.choice(families)

    def caches(self, before: list[Op], after: list[Op]) -> list[Kind]:
        """Return objects of two caches, one of them with a constructor."""

        def kind(cache: int) -> Kind:
            return Kind(
                lambda item: Op("kmem_cache_alloc", item, (cache, GFP_KERNEL)),
                lambda item: Op("kmem_cache_free", 0, (cache, item)),
                lambda item: Op("check", 0, (item,)),
            )

        made = []
        for constructed in (0, 1):
            cache, self.next = self.next, self.next + 1
            size = self.random.choice((24, 64, 200, 1000))
            before.append(Op("kmem_cache_create", cache, (1, size, 0, 0, constructed)))
            after.append(Op("kmem_cache_destroy", 0, (cache,)))
            made.append(kind(cache))
        return made

    def pools(self, before: list[Op], after: list[Op]) -> list[Kind]:
        """Return elements of two pools; one has nothing but its reserve, for which threads do not wait."""

        def kind(pool: int, mask: int) -> Kind:
            return Kind(
                lambda item: Op("mempool_alloc", item, (pool, mask)),
                lambda item: Op("mempool_free", 0, (item, pool)),
                lambda item: Op("check", 0, (item,)),
            )

        made = []
        for fails, mask in ((0, GFP_KERNEL), (1, GFP_NOWAIT)):
            pool, self.next = self.next, self.next + 1
            before.append(Op("mempool_create", pool, (2 + 30 * fails, 1, 1, 64)))
            before.append(Op("mempool_fail", 0, (pool, fails)))
            after.append(Op("mempool_destroy", 0, (pool,)))
            made.append(kind(pool, mask))
        return made

    def blocks(self) -> list[Kind]:
        """Return blocks of pages."""

        def kind(order: int) -> Kind:
            def make(item: int) -> Op:
                zero = ZERO if self.random.random() < 0.3 else 0
                return Op("__get_free_pages", item, (GFP_KERNEL | zero, order))

            return Kind(
                make,
                lambda item: Op("free_pages", 0, (item, order)),
                lambda item: Op("check", 0, (item,)),
            )

        return [kind(order) for order in (0, 0, 1, 2)]

    def areas(self) -> list[Kind]:
        """Return vmalloc areas."""
        maker = "vzalloc" if "vzalloc" in self.apis else "vmalloc"

        def kind(pages: int) -> Kind:
            def make(item: int) -> Op:
                return Op(maker if self.random.random() < 0.3 else "vmalloc", item, (pages * PAGE_SIZE,))

            return Kind(make, lambda item: Op("vfree", 0, (item,)), lambda item: Op("check", 0, (item,)))

        return [kind(pages) for pages in (1, 2, 5)]

    def round(
        self, kinds: list[Kind], *, steps: int = STEPS, kept: int = KEPT
    ) -> tuple[list[list[Op]], list[Op]]:
        """Return a program for each thread, and the call that frees each object should it be left."""
        programs: list[list[Op]] = [[] for _ in range(self.threads)]
        live: list[list[tuple[int, Kind]]] = [[] for _ in range(self.threads)]
        handed: list[list[tuple[int, Kind]]] = [[] for _ in range(self.threads)]
        frees = []
        for _ in range(steps):
            for thread, program in enumerate(programs):
                if handed[thread] and self.random.random() < 0.4:
                    item, kind = handed[thread].pop(0)
                    program.append(kind.free(item))
                mine = live[thread]
                draw = self.random.random()
                if (draw < 0.5 and len(mine) < kept) or not mine:
                    kind = self.random.choice(kinds)
                    item, self.next = self.next, self.next + 1
                    program.append(kind.make(item))
                    frees.append(kind.free(item))
                    if self.random.random() < HANDED and self.threads > 1:  # its maker leaves it alone then
                        other = (thread + self.random.randrange(1, self.threads)) % self.threads
                        handed[other].append((item, kind))
                    else:
                        mine.append((item, kind))
                elif draw < 0.58:
                    item, kind = self.random.choice(mine)
                    program.append(kind.use(item))
                else:
                    item, kind = mine.pop(self.random.randrange(len(mine)))
                    program.append(kind.free(item))
        return programs, frees

    def births(self) -> list[Op]:
        """Return a program of caches that come and go, with a few objects each."""
        return list(self._births())

    def _births(self) -> Iterator[Op]:
        for _ in range(STEPS // 12):
            cache, first, self.next = self.next, self.next + 1, self.next + 5
            size = self.random.choice((32, 64, 500))
            yield Op("kmem_cache_create", cache, (1, size, 0, 0, 0))
            for item in range(first, first + 4):
                yield Op("kmem_cache_alloc", item, (cache, GFP_KERNEL))
            for item in range(first, first + 4):
                yield Op("kmem_cache_free", 0, (cache, item))
            yield Op("kmem_cache_destroy", 0, (cache,))
