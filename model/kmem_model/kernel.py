"""A small kernel: every call of the API under its kernel name, on a machine of its own."""

from __future__ import annotations

from collections.abc import Callable

from kmem_model.kv import KvCalls
from kmem_model.mempool import PoolCalls
from kmem_model.pages import PageCalls
from kmem_model.strings import CopyCalls

Result = int | list[int] | None  # a list of addresses from calls that fill an array


class Kernel(KvCalls, CopyCalls, PoolCalls, PageCalls):
    """The calls of all families, in Python and by name.

    A call that is refused changes nothing. A call that fails, which is one that gives NULL, changes no
    object and no byte; but slabs without an object may have gone back to the page allocator.
    """

    def __init__(self, memory_bytes: int = 4 << 30, *, merge: bool = False) -> None:
        """Start a machine with `memory_bytes` of memory, nothing allocated.

        `merge` says whether caches that are alike become one.
        """
        super().__init__(memory_bytes)
        self.merge = merge
        self.api: dict[str, Callable[..., Result]] = {
            "kmalloc": self.kmalloc,
            "kzalloc": self.kzalloc,
            "kmalloc_array": self.kmalloc_array,
            "kcalloc": self.kcalloc,
            "krealloc": self.krealloc,
            "krealloc_array": self.krealloc_array,
            "kmemdup": self.kmemdup,
            "kstrdup": self.kstrdup,
            "kstrndup": self.kstrndup,
            "kfree": self.kfree,
            "kfree_sensitive": self.kfree_sensitive,
            "kfree_bulk": self.kfree_bulk,
            "ksize": self.ksize,
            "kmalloc_size_roundup": self.kmalloc_size_roundup,
            "kvmalloc": self.kvmalloc,
            "kvzalloc": self.kvzalloc,
            "kvmalloc_array": self.kvmalloc_array,
            "kvcalloc": self.kvcalloc,
            "kvrealloc": self.kvrealloc,
            "kvfree": self.kvfree,
            "kmem_cache_create": self.kmem_cache_create,
            "kmem_cache_create_26": self.kmem_cache_create_26,
            "kmem_cache_alloc": self.kmem_cache_alloc,
            "kmem_cache_zalloc": self.kmem_cache_zalloc,
            "kmem_cache_free": self.kmem_cache_free,
            "kmem_cache_alloc_bulk": self.kmem_cache_alloc_bulk,
            "kmem_cache_free_bulk": self.kmem_cache_free_bulk,
            "kmem_cache_shrink": self.kmem_cache_shrink,
            "kmem_cache_size": self.kmem_cache_size,
            "kmem_cache_destroy": self.kmem_cache_destroy,
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
            "mempool_create": self.mempool_create,
            "mempool_create_slab_pool": self.mempool_create_slab_pool,
            "mempool_alloc": self.mempool_alloc,
            "mempool_free": self.mempool_free,
            "mempool_resize": self.mempool_resize,
            "mempool_destroy": self.mempool_destroy,
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
