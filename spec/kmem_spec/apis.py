"""The calls of the API: family, parameters as in the kernel's prototype, what each does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from kmem_spec.calls import Family
from kmem_spec.gfp import DMA32, GFP_KERNEL, ZERO

# pointer: an object; source: one that is only read; offset: bytes from the pointer before it, written as
# `pointer + offset`; vector: an array of objects, as many as `count`; array: one that the call fills.
Parameter = Literal[
    "size",
    "count",
    "gfp",
    "order",
    "pointer",
    "source",
    "offset",
    "vector",
    "array",
    "cache",
    "pool",
    "name",
    "align",
    "flags",
    "ctor",
    "dtor",
    "prot",
    "number",
    "alloc_fn",
    "free_fn",
]
Role = Literal[
    "allocate",  # makes an object
    "copy",  # makes an object with the contents of another
    "bulk",  # makes several; an `item` for each follows
    "item",
    "resize",
    "split",  # makes single pages of a block
    "map",  # makes an area of pages that live on
    "free",
    "free bulk",
    "create",  # makes a cache or a pool
    "destroy",
    "adjust",  # changes a cache or a pool
    "measure",  # tells an object's usable size
    "describe",  # tells a cache's size
    "locate",  # tells of a place in an object
    "compute",  # a function of its arguments alone
    "look",  # the driver compares an object with what it wrote
    "set",  # the driver sets how the next calls run
]


@dataclass(frozen=True, slots=True)
class Api:
    """The shape of one call.

    takes   families of which it takes an object
    gfp     the mask of a call that is given none
    sleeps  whether it may sleep whatever its mask
    needs   other symbols of the target without which it cannot be called
    """

    name: str
    family: Family
    role: Role
    parameters: tuple[Parameter, ...]
    zeroes: bool = False
    takes: frozenset[Family] = frozenset()
    gfp: int = 0
    sleeps: bool = False
    needs: tuple[str, ...] = ()

    @property
    def makes(self) -> bool:
        """Say whether a script names what the call returns."""
        return self.role in MAKERS


MAKERS: Final = frozenset({"allocate", "copy", "resize", "split", "map", "create"})
_KMALLOC: Final = frozenset[Family]({"kmalloc"})
_KV: Final = frozenset[Family]({"kv", "kmalloc", "vmalloc"})
_CACHE: Final = frozenset[Family]({"cache"})
_PAGE: Final = frozenset[Family]({"page"})
_EXACT: Final = frozenset[Family]({"exact"})
_AREA: Final = frozenset[Family]({"vmalloc"})
_MAPPED: Final = frozenset[Family]({"vmalloc", "vmap"})
_POOL: Final = frozenset[Family]({"pool"})
EVERY: Final = frozenset[Family]({"kmalloc", "kv", "cache", "page", "exact", "vmalloc", "pool"})
_PAGES: Final = ("page_address",)
_KZERO: Final = GFP_KERNEL | ZERO

_ALL: Final = (
    Api("kmalloc", "kmalloc", "allocate", ("size", "gfp")),
    Api("kzalloc", "kmalloc", "allocate", ("size", "gfp"), zeroes=True),
    Api("kmalloc_array", "kmalloc", "allocate", ("count", "size", "gfp")),
    Api("kcalloc", "kmalloc", "allocate", ("count", "size", "gfp"), zeroes=True),
    Api("krealloc", "kmalloc", "resize", ("pointer", "size", "gfp"), takes=_KMALLOC),
    Api("krealloc_array", "kmalloc", "resize", ("pointer", "count", "size", "gfp"), takes=_KMALLOC),
    Api("kmemdup", "kmalloc", "copy", ("source", "size", "gfp"), takes=EVERY),
    Api("kstrdup", "kmalloc", "copy", ("source", "gfp"), takes=EVERY),
    Api("kstrndup", "kmalloc", "copy", ("source", "size", "gfp"), takes=EVERY),
    Api("kfree", "kmalloc", "free", ("pointer",), takes=_KMALLOC),
    Api("kfree_sensitive", "kmalloc", "free", ("pointer",), takes=_KMALLOC),
    Api("kfree_bulk", "kmalloc", "free bulk", ("count", "vector"), takes=_KMALLOC),
    Api("ksize", "kmalloc", "measure", ("pointer",), takes=_KMALLOC),
    Api("kmalloc_size_roundup", "kmalloc", "compute", ("size",)),
    Api("kvmalloc", "kv", "allocate", ("size", "gfp")),
    Api("kvzalloc", "kv", "allocate", ("size", "gfp"), zeroes=True),
    Api("kvmalloc_array", "kv", "allocate", ("count", "size", "gfp")),
    Api("kvcalloc", "kv", "allocate", ("count", "size", "gfp"), zeroes=True),
    Api("kvrealloc", "kv", "resize", ("pointer", "size", "gfp"), takes=_KV),
    Api("kvfree", "kv", "free", ("pointer",), takes=_KV, sleeps=True),
    Api("kmem_cache_create", "cache", "create", ("name", "size", "align", "flags", "ctor"), sleeps=True),
    Api(
        "kmem_cache_create_26",
        "cache",
        "create",
        ("name", "size", "align", "flags", "ctor", "dtor"),
        sleeps=True,
    ),
    Api("kmem_cache_alloc", "cache", "allocate", ("cache", "gfp")),
    Api("kmem_cache_zalloc", "cache", "allocate", ("cache", "gfp"), zeroes=True),
    Api("kmem_cache_free", "cache", "free", ("cache", "pointer"), takes=_CACHE),
    Api("kmem_cache_alloc_bulk", "cache", "bulk", ("cache", "gfp", "count", "array")),
    Api("kmem_cache_free_bulk", "cache", "free bulk", ("cache", "count", "vector"), takes=_CACHE),
    Api("kmem_cache_shrink", "cache", "adjust", ("cache",), sleeps=True),
    Api("kmem_cache_size", "cache", "describe", ("cache",)),
    Api("kmem_cache_destroy", "cache", "destroy", ("cache",), sleeps=True),
    Api("__get_free_pages", "page", "allocate", ("gfp", "order")),
    Api("get_zeroed_page", "page", "allocate", ("gfp",), zeroes=True),
    Api("free_pages", "page", "free", ("pointer", "order"), takes=_PAGE),
    Api("alloc_pages", "page", "allocate", ("gfp", "order"), needs=_PAGES),
    Api("__free_pages", "page", "free", ("pointer", "order"), takes=_PAGE, needs=("virt_to_page",)),
    Api("alloc_pages_bulk", "page", "bulk", ("gfp", "count", "array"), needs=_PAGES),
    Api("split_page", "page", "split", ("pointer", "order"), takes=_PAGE, needs=("virt_to_page",)),
    Api("alloc_pages_exact", "exact", "allocate", ("size", "gfp")),
    Api("free_pages_exact", "exact", "free", ("pointer", "size"), takes=_EXACT),
    Api("get_order", "page", "compute", ("size",)),
    Api("vmalloc", "vmalloc", "allocate", ("size",), gfp=GFP_KERNEL, sleeps=True),
    Api("vzalloc", "vmalloc", "allocate", ("size",), zeroes=True, gfp=_KZERO, sleeps=True),
    Api("vmalloc_user", "vmalloc", "allocate", ("size",), zeroes=True, gfp=_KZERO, sleeps=True),
    Api("vmalloc_32", "vmalloc", "allocate", ("size",), gfp=GFP_KERNEL | DMA32, sleeps=True),
    Api("vmalloc_array", "vmalloc", "allocate", ("count", "size"), gfp=GFP_KERNEL, sleeps=True),
    Api("vcalloc", "vmalloc", "allocate", ("count", "size"), zeroes=True, gfp=_KZERO, sleeps=True),
    Api("__vmalloc", "vmalloc", "allocate", ("size", "gfp"), sleeps=True),
    Api("vrealloc", "vmalloc", "resize", ("pointer", "size", "gfp"), takes=_AREA, sleeps=True),
    Api("vfree", "vmalloc", "free", ("pointer",), takes=_AREA, sleeps=True),
    Api(
        "vmap",
        "vmap",
        "map",
        ("vector", "count", "flags", "prot"),
        takes=_PAGE,
        sleeps=True,
        needs=("virt_to_page",),
    ),
    Api("vunmap", "vmap", "free", ("pointer",), takes=frozenset({"vmap"}), sleeps=True),
    Api("vmalloc_to_page", "vmalloc", "locate", ("pointer", "offset"), takes=_MAPPED, needs=_PAGES),
    Api("is_vmalloc_addr", "vmalloc", "locate", ("pointer", "offset"), takes=EVERY | _MAPPED),
    Api("mempool_create", "pool", "create", ("number", "alloc_fn", "free_fn", "size"), sleeps=True),
    Api("mempool_create_slab_pool", "pool", "create", ("number", "cache"), sleeps=True),
    Api("mempool_alloc", "pool", "allocate", ("pool", "gfp")),
    Api("mempool_free", "pool", "free", ("pointer", "pool"), takes=_POOL),
    Api("mempool_resize", "pool", "adjust", ("pool", "number"), sleeps=True),
    Api("mempool_destroy", "pool", "destroy", ("pool",), sleeps=True),
    Api("check", "driver", "look", ("pointer",), takes=EVERY),
    Api("item", "driver", "item", ("number",)),
    Api("fail_nth", "driver", "set", ("number",)),
    Api("mempool_fail", "driver", "set", ("pool", "number")),
    Api("preempt_disable", "driver", "set", ()),
    Api("preempt_enable", "driver", "set", ()),
)
APIS: Final[dict[str, Api]] = {api.name: api for api in _ALL}
KERNEL_APIS: Final = tuple(api.name for api in _ALL if api.family != "driver")
FAMILIES: Final = {api.name: api.family for api in _ALL}


def argument(api: Api, args: tuple[int, ...], parameter: Parameter) -> int:
    """Return the argument for `parameter`, or 0 where the call has none."""
    return args[api.parameters.index(parameter)] if parameter in api.parameters else 0
