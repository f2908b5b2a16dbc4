"""A small kernel: every call of the API under its kernel name, on a machine of its own."""

from __future__ import annotations

from collections.abc import Callable

from kmem_model.kmalloc import KmallocCalls
from kmem_model.pages import PageCalls
from kmem_model.vmalloc import VmallocCalls

Result = int | list[int] | None  # a list of addresses from calls that fill an array


class Kernel(KmallocCalls, PageCalls, VmallocCalls):
    """The calls of all families, in Python and by name.

    A call that is refused changes nothing. A call that fails, which is one that gives NULL, changes no
    object and no byte; but slabs without an object may have gone back to the page allocator.
    """

    def __init__(self, memory_bytes: int = 4 << 30) -> None:
        """Start a machine with `memory_bytes` of memory, nothing allocated."""
        super().__init__(memory_bytes)
        self.api: dict[str, Callable[..., Result]] = {
            "kmalloc": self.kmalloc,
            "kzalloc": self.kzalloc,
            "kmalloc_array": self.kmalloc_array,
            "kcalloc": self.kcalloc,
            "krealloc": self.krealloc,
            "kfree": self.kfree,
            "ksize": self.ksize,
            "__get_free_pages": self.get_free_pages,
            "get_zeroed_page": self.get_zeroed_page,
            "free_pages": self.free_pages,
            "alloc_pages": self.alloc_pages,
            "__free_pages": self.free_pages_of,
            "alloc_pages_bulk": self.alloc_pages_bulk,
            "split_page": self.split_page,
            "alloc_pages_exact": self.alloc_pages_exact,
            "free_pages_exact": self.free_pages_exact,
            "get_order": self.get_order,
            "vmalloc": self.vmalloc,
            "vzalloc": self.vzalloc,
            "vmalloc_user": self.vmalloc_user,
            "vmalloc_32": self.vmalloc_32,
            "vmalloc_array": self.vmalloc_array,
            "vcalloc": self.vcalloc,
            "__vmalloc": self.vmalloc_gfp,
            "vrealloc": self.vrealloc,
            "vfree": self.vfree,
            "vmap": self.vmap,
            "vunmap": self.vunmap,
            "vmalloc_to_page": self.vmalloc_to_page,
            "is_vmalloc_addr": self.is_vmalloc_addr,
            "fail_nth": self.arm,
            "preempt_disable": self.preempt_disable,
            "preempt_enable": self.preempt_enable,
        }

    def call(self, api: str, args: tuple[object, ...]) -> int:
        """Make the call of that kernel name; calls that return nothing give 0, arrays how many there are.

        Errors   KeyError for a name that is not in `api`
        """
        self.slept = False
        result = self.api[api](*args)
        return len(result) if isinstance(result, list) else result or 0
