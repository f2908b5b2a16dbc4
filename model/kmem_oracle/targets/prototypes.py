"""The C types of the kernel's calls, and what stands between them and a driver's plain integers.

A driver knows pages by address and gives callbacks, names and arrays as Python has them; a library has
struct page, function pointers and arrays of pointers. Sources: include/linux/slab.h, gfp.h, vmalloc.h,
mempool.h; the 2.6 form of kmem_cache_create: linux/slab.h of 2.6.12.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Final, TypeAlias, TypeVar

from kmem_oracle.targets.opened import Function
from kmem_spec.apis import APIS, Parameter

UINT: Final = ctypes.c_uint32
INT: Final = ctypes.c_int
WORD: Final = ctypes.c_uint64  # size_t, unsigned long, pgprot_t, and pointers of which only the number counts
ARRAY: Final = ctypes.c_void_p
TEXT: Final = ctypes.c_char_p
CTOR: Final = ctypes.CFUNCTYPE(None, WORD)
CTOR_26: Final = ctypes.CFUNCTYPE(None, WORD, WORD, WORD)  # object, cache, flags
GIVE: Final = ctypes.CFUNCTYPE(WORD, UINT, WORD)  # mask, the pool's data
TAKE_BACK: Final = ctypes.CFUNCTYPE(None, WORD, WORD)  # element, the pool's data
# Typeshed alone has names for what argtypes and restype take, and for a function of a library.
CType: TypeAlias = "type[ctypes._CDataType]"
Symbol: TypeAlias = "ctypes._NamedFuncPointer"
Callback = TypeVar("Callback")

_USUAL: Final[dict[Parameter, CType]] = {
    "gfp": UINT,
    "order": UINT,
    "number": INT,
    "vector": ARRAY,
    "array": ARRAY,
}
_UNUSUAL: Final[dict[str, tuple[CType, ...]]] = {
    "kmem_cache_create": (TEXT, UINT, UINT, UINT, CTOR),
    "kmem_cache_create_26": (TEXT, WORD, WORD, WORD, CTOR_26, CTOR_26),
    "vmap": (ARRAY, UINT, WORD, WORD),
    "vmalloc_to_page": (WORD,),
    "is_vmalloc_addr": (WORD,),
    "mempool_create": (INT, GIVE, TAKE_BACK, WORD),
}
_RESULTS: Final[dict[str, CType]] = {
    "kmem_cache_alloc_bulk": INT,
    "kmem_cache_shrink": INT,
    "kmem_cache_size": UINT,
    "get_order": INT,
    "is_vmalloc_addr": ctypes.c_bool,
    "mempool_resize": INT,
}
_VOID: Final = frozenset({"free", "free bulk", "destroy", "split"})


def declare(name: str, function: Symbol) -> None:
    """Tell ctypes the types of one of the kernel's calls."""
    api = APIS[name]
    usual = [_USUAL.get(parameter, WORD) for parameter in api.parameters]
    function.argtypes = _UNUSUAL.get(name, usual)
    function.restype = None if api.role in _VOID else _RESULTS.get(name, WORD)


class Adapters:
    """The library's calls as a driver makes them.

    Callbacks live as long as the process: a library may keep a cache or a pool longer than its caller.
    """

    def __init__(self, symbols: dict[str, Symbol]) -> None:
        """Adapt the library's functions, whose types are declared."""
        self._symbols = symbols
        self._kept: list[object] = []
        self._adapted: dict[str, Function] = {
            "kmem_cache_create": self.create,
            "kmem_cache_create_26": self.create_26,
            "kmem_cache_alloc_bulk": self.alloc_bulk,
            "kmem_cache_free_bulk": self.free_bulk,
            "kfree_bulk": self.kfree_bulk,
            "alloc_pages": self.alloc_pages,
            "__free_pages": self.free_pages,
            "alloc_pages_bulk": self.alloc_pages_bulk,
            "split_page": self.split_page,
            "vmap": self.vmap,
            "vmalloc_to_page": self.vmalloc_to_page,
            "mempool_create": self.mempool_create,
        }

    def function(self, name: str) -> Function:
        """Return one call over plain integers."""
        return self._adapted.get(name, self._symbols[name])

    def create(
        self, name: bytes | None, size: int, align: int, flags: int, ctor: Callable[[int], None] | None
    ) -> int:
        """Make a cache."""
        function = self._kept_alive(CTOR(ctor)) if ctor is not None else CTOR()
        return self._call("kmem_cache_create", name, size, align, flags, function)

    def create_26(
        self,
        name: bytes | None,
        size: int,
        offset: int,
        flags: int,
        ctor: Callable[[int], None] | None,
        dtor: Callable[[int], None] | None,
    ) -> int:
        """Make a cache by the call of 2.6."""
        functions = [
            CTOR_26() if given is None else self._kept_alive(CTOR_26(_first_only(given)))
            for given in (ctor, dtor)
        ]
        return self._call("kmem_cache_create_26", name, size, offset, flags, *functions)

    def alloc_bulk(self, cache: int, gfp: int, count: int) -> list[int]:
        """Make objects."""
        array = (WORD * count)()
        got = self._call("kmem_cache_alloc_bulk", cache, gfp, count, array)
        return _filled(array, got)

    def free_bulk(self, cache: int, count: int, starts: list[int]) -> None:
        """Free objects."""
        self._call("kmem_cache_free_bulk", cache, count, (WORD * len(starts))(*starts))

    def kfree_bulk(self, count: int, starts: list[int]) -> None:
        """Free objects."""
        self._call("kfree_bulk", count, (WORD * len(starts))(*starts))

    def alloc_pages(self, gfp: int, order: int) -> int:
        """Make a block of pages."""
        return self._address(self._call("alloc_pages", gfp, order))

    def free_pages(self, start: int, order: int) -> None:
        """Free a block of pages."""
        self._call("__free_pages", self._page(start), order)

    def alloc_pages_bulk(self, gfp: int, count: int) -> list[int]:
        """Make single pages."""
        array = (WORD * count)()
        got = self._call("alloc_pages_bulk", gfp, count, array)
        return [self._address(page) for page in _filled(array, got)]

    def split_page(self, start: int, order: int) -> None:
        """Cut a block of pages."""
        self._call("split_page", self._page(start), order)

    def vmap(self, starts: list[int], count: int, flags: int, prot: int) -> int:
        """Map pages."""
        pages = [self._page(start) for start in starts]
        return self._call("vmap", (WORD * len(pages))(*pages), count, flags, prot)

    def vmalloc_to_page(self, start: int) -> int:
        """Return the address of the page behind a place in an area."""
        return self._address(self._call("vmalloc_to_page", start))

    def mempool_create(
        self, number: int, give: Callable[[int], int], take_back: Callable[[int], None], size: int
    ) -> int:
        """Make a pool over two functions; its data is the size."""
        alloc_fn = self._kept_alive(GIVE(lambda gfp, _size: give(gfp)))
        free_fn = self._kept_alive(TAKE_BACK(lambda start, _size: take_back(start)))
        return self._call("mempool_create", number, alloc_fn, free_fn, size)

    def _call(self, name: str, *args: object) -> int:
        """Make one of the library's calls."""
        result = self._symbols[name](*args)
        return int(result) if result is not None else 0

    def _address(self, page: int) -> int:
        """Return the address of a struct page's page, 0 for none."""
        return self._call("page_address", page) if page else 0

    def _page(self, start: int) -> int:
        """Return the struct page of an address, NULL for 0."""
        return self._call("virt_to_page", start) if start else 0

    def _kept_alive(self, callback: Callback) -> Callback:
        """Keep what the library may call at any time."""
        self._kept.append(callback)
        return callback


def _first_only(function: Callable[[int], None]) -> Callable[[int, int, int], None]:
    """Return a function of an object, a cache and flags, of which only the object is passed on."""
    return lambda start, _cache, _flags: function(start)


def _filled(array: ctypes.Array[ctypes.c_uint64], got: int) -> list[int]:
    """Return the part of an array that a call says it has filled; one more if it cannot have been so many."""
    return list(array[:got]) if 0 <= got <= len(array) else [*array, 0]
