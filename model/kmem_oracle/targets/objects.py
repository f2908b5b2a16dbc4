"""Calls on objects that are from no cache: made, resized, measured, compared, given back."""

from __future__ import annotations

from kmem_oracle.language.script import ID_ZERO_SIZE
from kmem_oracle.targets.hands import HIGHEST, MEASURED, NOTHING, Hands, new_held
from kmem_oracle.targets.records import CALLING, DONE, NULL_SEEN, SKIP_SEEN, SPOILT, TOUCHING, Seen
from kmem_spec.apis import APIS
from kmem_spec.gfp import ZERO
from kmem_spec.units import PAGE_SIZE, ZERO_SIZE_PTR

MOST_ORDER = 32  # of what is no object in any case, the size need not be known


class ObjectCalls(Hands):
    """kmalloc, kvmalloc, vmalloc and pages, with all that is made and freed as they are."""

    def allocate(self, api: str, out: int, args: tuple[int, ...]) -> Seen:
        """Run a call that takes a size and a mask."""
        return self.take(api, out, self.functions[api](*args) or 0, args[0], args[1])

    def allocate_array(self, api: str, out: int, args: tuple[int, ...]) -> Seen:
        """Run a call that takes a count, a size and a mask."""
        return self.take(api, out, self.functions[api](*args) or 0, args[0] * args[1], args[2])

    def allocate_pages(self, api: str, out: int, args: tuple[int, ...]) -> Seen:
        """Run a call that takes a mask, and perhaps an order."""
        result = self.functions[api](*args) or 0
        order = args[1] if len(args) > 1 else 0
        size = PAGE_SIZE << order if order <= MOST_ORDER else self.largest + 1
        return self.take(api, out, result, size, args[0])

    def allocate_area(self, api: str, out: int, args: tuple[int, ...]) -> Seen:
        """Run a call that takes a size, or a count and a size, and no mask."""
        size = args[0] if len(args) == 1 else args[0] * args[1]
        return self.take(api, out, self.functions[api](*args) or 0, size, APIS[api].gfp)

    def resize(self, api: str, out: int, args: tuple[int, ...]) -> Seen:
        """Run a call that takes an object, its new size, or a count and a size, and a mask."""
        pointer, mask = args[0], args[-1]
        size = args[1] if len(args) == 3 else args[1] * args[2]
        held = NOTHING.get(pointer) or self.held.get(pointer)
        if held is None:
            return SKIP_SEEN
        start, old, high, was_zeroed, home = held
        if start <= ZERO_SIZE_PTR:  # what was nothing becomes a new object
            return self.take(api, out, self.functions[api](start, *args[1:]) or 0, size, mask)
        access, words = self.access, self.words
        words[1] = TOUCHING
        spoilt = access.changed(start, old, pointer)
        if spoilt >= 0:
            return (pointer, -1, -1, spoilt, SPOILT)
        words[1] = CALLING
        result = self.functions[api](start, *args[1:]) or 0
        words[1] = TOUCHING
        if result == 0:
            if size == 0 and APIS[api].family != "kmalloc":  # of an area, NULL says that it is freed
                del self.held[pointer]
            return (0, -1, -1, access.changed(start, old, pointer) if size else -1, DONE)
        del self.held[pointer]
        if home is not None:
            home.objects.discard(pointer)
        if result == ZERO_SIZE_PTR or size > self.largest or not access.reachable(result, size):
            self.held[out] = new_held((result, 0, 0, False, None))
            return (result, -1, -1, -1, DONE)
        changed = access.changed(result, old if old < size else size, pointer)
        zeroed = was_zeroed and mask & ZERO != 0
        nonzero = -1
        if zeroed and size > old:
            nonzero = access.nonzero(result, high, size)
            if nonzero < 0:
                nonzero = access.nonzero(result, old, min(high, size))
        usable = -1
        if self.measure is not None and api in MEASURED:
            usable = min(self.measure(result) or 0, HIGHEST)
        access.fill(result, size, out)
        self.held[out] = new_held((result, size, high if high > size else size, zeroed, None))
        return (result, usable, nonzero, changed, DONE)

    def free(self, api: str, _out: int, args: tuple[int, ...]) -> Seen:
        """Run a call that gives an object back, of which it takes numbers besides."""
        pointer = args[0]
        if pointer <= 0:
            self.functions[api](ZERO_SIZE_PTR if pointer == ID_ZERO_SIZE else 0, *args[1:])
            return NULL_SEEN
        held = self.held.get(pointer)
        if held is None:
            return SKIP_SEEN
        start, size, _, _, home = held
        self.words[1] = TOUCHING
        spoilt = self.access.changed(start, size, pointer)
        if spoilt >= 0:
            return (pointer, -1, -1, spoilt, SPOILT)
        if home is None:
            del self.held[pointer]
        else:
            self.let_go(pointer, held)
        self.words[1] = CALLING
        self.functions[api](start, *args[1:])
        return NULL_SEEN

    def kfree_bulk(self, api: str, _out: int, args: tuple[int, ...]) -> Seen:
        """Run a kfree_bulk; what changed is found before any is freed."""
        return self.free_vector(api, (), args[0], args[1])

    def free_vector(self, api: str, leading: tuple[int, ...], count: int, first: int) -> Seen:
        """Free objects with consecutive ids by a call that takes `leading`, their number and themselves."""
        objects = self.vector(first, count)
        if objects is None:
            return SKIP_SEEN
        for identifier, held in objects.items():
            spoilt = self.spoilt(identifier, held)
            if spoilt is not None:
                return spoilt
        for identifier, held in objects.items():
            self.let_go(identifier, held)
        self.words[1] = CALLING
        self.functions[api](*leading, count, [held.start for held in objects.values()])
        return NULL_SEEN

    def ksize(self, api: str, _out: int, args: tuple[int, ...]) -> Seen:
        """Run a ksize."""
        held = self.object_at(args[0])
        return SKIP_SEEN if held is None else (self.functions[api](held.start) or 0, -1, -1, -1, DONE)

    def check(self, _api: str, _out: int, args: tuple[int, ...]) -> Seen:
        """Compare an object with what was written there."""
        held = self.held.get(args[0])
        if held is None:
            return SKIP_SEEN
        self.words[1] = TOUCHING
        return (0, -1, -1, self.access.changed(held.start, held.size, args[0]), DONE)
