"""The calls of the kv family: memory from kmalloc where that has some, else from vmalloc."""

from __future__ import annotations

from typing import Final

from kmem_model.kmalloc import KmallocCalls
from kmem_model.vmalloc import VmallocCalls
from kmem_spec.area import is_vmalloc_addr
from kmem_spec.gfp import NAMES_6_1, NOFAIL, NORETRY, NOWARN, ZERO, has, may_sleep
from kmem_spec.units import NULL, PAGE_SIZE, ZERO_SIZE_PTR, array_size

INT_MAX: Final = (1 << 31) - 1
RETRY_MAYFAIL: Final = NAMES_6_1["__GFP_RETRY_MAYFAIL"]


class KvCalls(KmallocCalls, VmallocCalls):
    """kvmalloc kvzalloc kvmalloc_array kvcalloc kvrealloc kvfree.

    Units    sizes in bytes, pointers as addresses
    Errors   Refused under a CALLER clause for the caller's mistakes; then nothing has changed
    """

    def kvmalloc(self, size: int, gfp: int) -> int:
        """Return the address of `size` bytes, ZERO_SIZE_PTR for none, NULL for too many or in need.

        Clause   CALLER-GFP, CALLER-CONTEXT
        Gives    what kmalloc gives; above a page, where that is NULL and the mask may sleep, an area
        Source   mm/util.c: kvmalloc_node
        """
        return self._lend(self._from_either(size, gfp))

    def kvzalloc(self, size: int, gfp: int) -> int:
        """Do as kvmalloc, zeroed.

        Source   include/linux/slab.h: kvzalloc
        """
        return self.kvmalloc(size, gfp | ZERO)

    def kvmalloc_array(self, n: int, size: int, gfp: int) -> int:
        """Do as kvmalloc for n * size bytes; NULL where that does not fit size_t.

        Source   include/linux/slab.h: kvmalloc_array
        """
        self.may_ask(gfp)
        product = array_size(n, size)
        return NULL if product is None else self.kvmalloc(product, gfp)

    def kvcalloc(self, n: int, size: int, gfp: int) -> int:
        """Do as kvmalloc_array, zeroed.

        Source   include/linux/slab.h: kvcalloc
        """
        return self.kvmalloc_array(n, size, gfp | ZERO)

    def kvrealloc(self, p: int, size: int, gfp: int) -> int:
        """Resize an object, of kmalloc or vmalloc too: in its place if that holds `size`, else a new one.

        Clause   CALLER-FREE, CALLER-FAMILY, CALLER-GFP, CALLER-CONTEXT
        Gives    for size 0 what krealloc and vrealloc give, ZERO_SIZE_PTR and NULL, and the object freed;
                 NULL where no memory was to be had, and the old object as it was
        Source   mm/util.c: kvrealloc, 6.12
        """
        area = is_vmalloc_addr(p)
        if p > ZERO_SIZE_PTR:
            self._own_either(p, freeing=False)
        self.may_ask(gfp)
        if area:
            self.may_wait()
        was = self.lent.pop(p, None)
        new = self.resize_area(p, size, gfp) if area else self._resize(p, size, gfp)
        if new == NULL and size > 0 and was is not None:
            self.lent[p] = was
        return self._lend(new)

    def kvfree(self, p: int) -> None:
        """Free an object, of kmalloc or vmalloc too; nothing to do for NULL and ZERO_SIZE_PTR.

        Clause   CALLER-FREE, CALLER-DOUBLE-FREE, CALLER-FAMILY, CALLER-CONTEXT
        Source   mm/util.c: kvfree
        """
        if p > ZERO_SIZE_PTR:
            self._own_either(p, freeing=True)
        self.may_wait()
        self.lent.pop(p, None)
        if is_vmalloc_addr(p):
            self.end_area(p)
        else:
            self.kfree(p)

    def _from_either(self, size: int, gfp: int) -> int:
        """Return memory from kmalloc, else from vmalloc, else NULL."""
        self.may_ask(gfp)
        p = self.kmalloc(size, light(gfp, size))
        if p != NULL or size <= PAGE_SIZE or not may_sleep(gfp) or size > INT_MAX:
            return p
        return self.make_area(size, gfp)

    def _resize(self, p: int, size: int, gfp: int) -> int:
        """Resize what is not an area; it may become one."""
        new = self.krealloc(p, size, light(gfp, size))
        if new != NULL:
            return new
        new = self._from_either(size, gfp)
        if new != NULL and p > ZERO_SIZE_PTR:
            self.view.copy(p, new, self.ksize(p))
            self.kfree(p)
        return new

    def _lend(self, p: int) -> int:
        """Note that an object is one of this family."""
        if p > ZERO_SIZE_PTR:
            self.lent[p] = "kv"
        return p

    def _own_either(self, p: int, *, freeing: bool) -> None:
        """Refuse what is not the start of an object that kvfree takes.

        Clause   CALLER-FREE, CALLER-DOUBLE-FREE, CALLER-FAMILY
        """
        if self.family_at(p) not in ("kv", "kmalloc", "vmalloc"):
            self.refuse(p, freeing=freeing)


def light(gfp: int, size: int) -> int:
    """Return the mask for a first try with kmalloc: above a page no hard one, as vmalloc is at hand.

    Source   mm/util.c: kvmalloc_node; 6.12: kmalloc_gfp_adjust
    """
    if size <= PAGE_SIZE:
        return gfp
    gfp = (gfp | NOWARN) & ~NOFAIL
    return gfp if has(gfp, RETRY_MAYFAIL) else gfp | NORETRY
