"""The kmem library under Python names, through ctypes, in this process."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final, TypeAlias

GFP_KERNEL: Final = 0xCC0
GFP_ATOMIC: Final = 0xA20
GFP_NOWAIT: Final = 0x800
GFP_USER: Final = 0x100CC0
ZERO: Final = 0x100
ZERO_SIZE_PTR: Final = 16

_INT: Final = ctypes.c_int
_SIZE: Final = ctypes.c_size_t  # unsigned long as well
_UINT: Final = ctypes.c_uint
_POINTER: Final = ctypes.c_void_p
Kind: TypeAlias = "type[ctypes._CDataType]"  # only the type stubs have it
CTOR: Final = ctypes.CFUNCTYPE(None, _POINTER)
CTOR_26: Final = ctypes.CFUNCTYPE(None, _POINTER, _POINTER, _SIZE)
ELEMENT_ALLOC: Final = ctypes.CFUNCTYPE(_POINTER, _UINT, _POINTER)
ELEMENT_FREE: Final = ctypes.CFUNCTYPE(None, _POINTER, _POINTER)
HOOK: Final = ctypes.CFUNCTYPE(None)

# result and arguments
PROTOTYPES: Final[dict[str, tuple[Kind | None, *tuple[Kind, ...]]]] = {
    "kmalloc": (_POINTER, _SIZE, _UINT),
    "kzalloc": (_POINTER, _SIZE, _UINT),
    "kmalloc_array": (_POINTER, _SIZE, _SIZE, _UINT),
    "kcalloc": (_POINTER, _SIZE, _SIZE, _UINT),
    "krealloc": (_POINTER, _POINTER, _SIZE, _UINT),
    "krealloc_array": (_POINTER, _POINTER, _SIZE, _SIZE, _UINT),
    "kfree": (None, _POINTER),
    "kfree_sensitive": (None, _POINTER),
    "kfree_bulk": (None, _SIZE, _POINTER),
    "ksize": (_SIZE, _POINTER),
    "kmalloc_size_roundup": (_SIZE, _SIZE),
    "kmemdup": (_POINTER, _POINTER, _SIZE, _UINT),
    "kstrdup": (_POINTER, _POINTER, _UINT),
    "kstrndup": (_POINTER, _POINTER, _SIZE, _UINT),
    "kvmalloc": (_POINTER, _SIZE, _UINT),
    "kvzalloc": (_POINTER, _SIZE, _UINT),
    "kvmalloc_array": (_POINTER, _SIZE, _SIZE, _UINT),
    "kvcalloc": (_POINTER, _SIZE, _SIZE, _UINT),
    "kvrealloc": (_POINTER, _POINTER, _SIZE, _UINT),
    "kvfree": (None, _POINTER),
    "kmem_cache_create": (_POINTER, ctypes.c_char_p, _UINT, _UINT, _UINT, CTOR),
    "kmem_cache_create_26": (_POINTER, ctypes.c_char_p, _SIZE, _SIZE, _SIZE, CTOR_26, CTOR_26),
    "kmem_cache_alloc": (_POINTER, _POINTER, _UINT),
    "kmem_cache_zalloc": (_POINTER, _POINTER, _UINT),
    "kmem_cache_free": (None, _POINTER, _POINTER),
    "kmem_cache_alloc_bulk": (_INT, _POINTER, _UINT, _SIZE, _POINTER),
    "kmem_cache_free_bulk": (None, _POINTER, _SIZE, _POINTER),
    "kmem_cache_shrink": (_INT, _POINTER),
    "kmem_cache_size": (_UINT, _POINTER),
    "kmem_cache_destroy": (None, _POINTER),
    "__get_free_pages": (_SIZE, _UINT, _UINT),
    "get_zeroed_page": (_SIZE, _UINT),
    "free_pages": (None, _SIZE, _UINT),
    "alloc_pages": (_POINTER, _UINT, _UINT),
    "__free_pages": (None, _POINTER, _UINT),
    "alloc_pages_bulk": (_SIZE, _UINT, _SIZE, _POINTER),
    "alloc_pages_exact": (_POINTER, _SIZE, _UINT),
    "free_pages_exact": (None, _POINTER, _SIZE),
    "split_page": (None, _POINTER, _UINT),
    "get_order": (_INT, _SIZE),
    "page_address": (_POINTER, _POINTER),
    "virt_to_page": (_POINTER, _POINTER),
    "vmalloc": (_POINTER, _SIZE),
    "vzalloc": (_POINTER, _SIZE),
    "vmalloc_user": (_POINTER, _SIZE),
    "vmalloc_32": (_POINTER, _SIZE),
    "vmalloc_array": (_POINTER, _SIZE, _SIZE),
    "vcalloc": (_POINTER, _SIZE, _SIZE),
    "__vmalloc": (_POINTER, _SIZE, _UINT),
    "vrealloc": (_POINTER, _POINTER, _SIZE, _UINT),
    "vfree": (None, _POINTER),
    "vmap": (_POINTER, _POINTER, _UINT, _SIZE, _SIZE),
    "vunmap": (None, _POINTER),
    "vmalloc_to_page": (_POINTER, _POINTER),
    "is_vmalloc_addr": (ctypes.c_bool, _POINTER),
    "mempool_create": (_POINTER, _INT, ELEMENT_ALLOC, ELEMENT_FREE, _POINTER),
    "mempool_create_slab_pool": (_POINTER, _INT, _POINTER),
    "mempool_alloc": (_POINTER, _POINTER, _UINT),
    "mempool_free": (None, _POINTER, _POINTER),
    "mempool_resize": (_INT, _POINTER, _INT),
    "mempool_destroy": (None, _POINTER),
    "kmem_oracle_reset": (None,),
    "kmem_oracle_on_sleep": (None, HOOK),
    "kmem_oracle_fail_nth": (None, _UINT),
}


class Kmem:
    """One loaded library. Addresses are integers, NULL is 0."""

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        self.has_ksize = hasattr(library, "ksize")
        self._functions = {name: library[name] for name in PROTOTYPES if hasattr(library, name)}
        for name, function in self._functions.items():
            function.restype, function.argtypes = PROTOTYPES[name][0], PROTOTYPES[name][1:]

    def call(self, name: str, *arguments: object) -> int:
        """Make one call, by its kernel name."""
        return int(self._functions[name](*arguments) or 0)

    def get(self, name: str, *arguments: object) -> int:
        """Make a call that allocates, and once more if it gave NULL."""
        return self.call(name, *arguments) or self.call(name, *arguments)

    def kmalloc(self, size: int, gfp: int = GFP_KERNEL) -> int:
        return self.call("kmalloc", size, gfp)

    def kzalloc(self, size: int, gfp: int = GFP_KERNEL) -> int:
        return self.call("kzalloc", size, gfp)

    def kmalloc_array(self, count: int, size: int, gfp: int = GFP_KERNEL) -> int:
        return self.call("kmalloc_array", count, size, gfp)

    def kcalloc(self, count: int, size: int, gfp: int = GFP_KERNEL) -> int:
        return self.call("kcalloc", count, size, gfp)

    def krealloc(self, address: int, size: int, gfp: int = GFP_KERNEL) -> int:
        return self.call("krealloc", address, size, gfp)

    def kfree(self, address: int) -> None:
        self.call("kfree", address)

    def ksize(self, address: int) -> int | None:
        """Return the usable size, or None where the library does not tell."""
        return self.call("ksize", address) if self.has_ksize else None

    def get_free_pages(self, order: int, gfp: int = GFP_KERNEL) -> int:
        return self.call("__get_free_pages", gfp, order)

    def get_zeroed_page(self, gfp: int = GFP_KERNEL) -> int:
        return self.call("get_zeroed_page", gfp)

    def free_pages(self, address: int, order: int) -> None:
        self.call("free_pages", address, order)

    def reset(self) -> None:
        self.call("kmem_oracle_reset")


def pattern(owner: int, size: int) -> bytes:
    """Return `size` bytes that hardly any other owner has, none of them zero."""
    word = (owner * 0x9E3779B97F4A7C15 | 0x0101010101010101) & (2**64 - 1)
    return (word.to_bytes(8, "little") * (size // 8 + 1))[:size]


def write(address: int, content: bytes) -> None:
    """Copy bytes to an address."""
    ctypes.memmove(address, content, len(content))


def read(address: int, size: int) -> bytes:
    """Copy bytes from an address."""
    return ctypes.string_at(address, size)
