"""malloc libraries as targets: kmalloc and pages put over posix_memalign, calloc, realloc and free.

What C does not promise is added here, and so is not judged of the library: zeroes beyond the request,
natural alignment where calloc and realloc give none, any alignment of less than 8 bytes of theirs, the
kernel's limits, ZERO_SIZE_PTR. Everything else is the library's own. A library without malloc_usable_size
has no ksize. Runs in the child process only.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Final

from kmem_oracle.targets.linked import DEEPBIND, own
from kmem_oracle.targets.opened import Function, Unusable
from kmem_spec.gfp import ZERO
from kmem_spec.units import MAX_ORDER, PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR, array_size, power_of_two_divisor

MAX_SIZE: Final = PAGE_SIZE << MAX_ORDER
MINIMUM: Final = 8  # bytes, what kmalloc aligns to at least; posix_memalign takes no less
_SIZE: Final = ctypes.c_uint64
_SYMBOLS: Final = ("posix_memalign", "calloc", "realloc", "free")
_USABLE: Final = "malloc_usable_size"  # C and POSIX have no such function


class Malloc:
    """The kernel's calls over one malloc library."""

    def __init__(self, path: str) -> None:
        """Load the library, this process's own C library if `path` is empty.

        Errors   Unusable
        """
        try:
            library = ctypes.CDLL(path or None, mode=ctypes.DEFAULT_MODE | (DEEPBIND if path else 0))
        except OSError as error:
            raise Unusable(f"malloc:{path}: cannot be loaded: {error}") from error
        found = [own(library, name) if path else library[name] for name in _SYMBOLS]
        missing = [name for name, function in zip(_SYMBOLS, found, strict=True) if function is None]
        if missing:
            raise Unusable(f"malloc:{path}: no malloc library: it exports no {', no '.join(missing)}")
        self._memalign, self._calloc, self._realloc, self._free = (f for f in found if f)
        self._usable = own(library, _USABLE) if path else library[_USABLE]
        self._sizes: dict[int, int] = {}  # what was asked for, where the library tells no more than that
        pointer = ctypes.POINTER(_SIZE)
        self._memalign.argtypes, self._memalign.restype = [pointer, _SIZE, _SIZE], ctypes.c_int
        self._calloc.argtypes, self._calloc.restype = [_SIZE, _SIZE], _SIZE
        self._realloc.argtypes, self._realloc.restype = [_SIZE, _SIZE], _SIZE
        self._free.argtypes, self._free.restype = [_SIZE], None
        if self._usable is not None:
            self._usable.argtypes, self._usable.restype = [_SIZE], _SIZE
        self._out = _SIZE(0)
        self._where = ctypes.pointer(self._out)

    def functions(self) -> dict[str, Function]:
        """Return the calls by kernel name."""
        told: dict[str, Function] = {} if self._usable is None else {"ksize": self.ksize}
        return told | {
            "kmalloc": self.kmalloc,
            "kzalloc": functools.partial(self.kcalloc, 1),
            "kmalloc_array": self.kmalloc_array,
            "kcalloc": self.kcalloc,
            "krealloc": self.krealloc,
            "kfree": self.kfree,
            "__get_free_pages": self.get_free_pages,
            "get_zeroed_page": self.get_zeroed_page,
            "free_pages": self.free_pages,
        }

    def symbols(self, over: str) -> dict[str, int]:
        """Return the addresses of the same calls in C, of the library of that path, put over this one.

        None where usable sizes are not told: those calls keep nothing, and cannot know them.
        """
        if self._usable is None:
            return {}
        library = ctypes.CDLL(over)
        functions = (self._memalign, self._calloc, self._realloc, self._free, self._usable)
        put_over = library.kmem_oracle_over
        put_over.argtypes, put_over.restype = [ctypes.c_void_p] * len(functions), None
        put_over(*(ctypes.cast(function, ctypes.c_void_p) for function in functions))
        return {name: ctypes.cast(library[name], ctypes.c_void_p).value or 0 for name in self.functions()}

    def kmalloc(self, size: int, gfp: int) -> int:
        """Put kmalloc over posix_memalign, with the alignment that the size earns."""
        if size == 0:
            return ZERO_SIZE_PTR
        if size > MAX_SIZE:
            return 0
        start = self._aligned(_alignment(size), size)
        if gfp & ZERO:
            self._clear(start, 0)
        return start

    def kmalloc_array(self, count: int, size: int, gfp: int) -> int:
        """Check the product, then kmalloc; C has no such call without zeroing."""
        total = array_size(count, size)
        return 0 if total is None else self.kmalloc(total, gfp)

    def kcalloc(self, count: int, size: int, gfp: int) -> int:
        """Put kcalloc over calloc, whose own check of the product is judged."""
        total = count * size
        if total == 0:
            return ZERO_SIZE_PTR
        if total <= SIZE_MAX and (total > MAX_SIZE or _alignment(total) > MINIMUM):
            return self.kmalloc(total, gfp | ZERO)
        start: int = self._calloc(count, size)
        if total > SIZE_MAX:
            return start
        start = self._settled(start, total)
        self._clear(start, total)
        return start

    def krealloc(self, start: int, size: int, gfp: int) -> int:
        """Put krealloc over realloc, or where the new size earns an alignment over a copy."""
        if start <= ZERO_SIZE_PTR:
            return self.kmalloc(size, gfp)
        if size == 0:
            self._release(start)
            return ZERO_SIZE_PTR
        if size > MAX_SIZE:
            return 0
        was_usable = self.ksize(start)
        if _alignment(size) > MINIMUM:
            new = self.kmalloc(size, gfp)
            if new:
                ctypes.memmove(new, start, min(was_usable, size))
                self._release(start)
            return new
        asked = self._sizes.pop(start, 0)
        result: int = self._realloc(start, size)
        if not result and asked:
            self._sizes[start] = asked
        result = self._settled(result, size)
        if gfp & ZERO:
            self._clear(result, min(was_usable, size))
        return result

    def kfree(self, start: int) -> None:
        """Put kfree over free."""
        if start > ZERO_SIZE_PTR:
            self._release(start)

    def ksize(self, start: int) -> int:
        """Put ksize over malloc_usable_size; without that, it is what was asked for."""
        if start <= ZERO_SIZE_PTR:
            return 0
        return self._sizes[start] if self._usable is None else int(self._usable(start))

    def get_free_pages(self, gfp: int, order: int) -> int:
        """Put __get_free_pages over posix_memalign."""
        if order > MAX_ORDER:
            return 0
        start = self._aligned(PAGE_SIZE << order, PAGE_SIZE << order)
        if gfp & ZERO and start:
            ctypes.memset(start, 0, PAGE_SIZE << order)
        return start

    def get_zeroed_page(self, gfp: int) -> int:
        """Put get_zeroed_page over posix_memalign."""
        return self.get_free_pages(gfp | ZERO, 0)

    def free_pages(self, start: int, _order: int) -> None:
        """Put free_pages over free."""
        if start:
            self._release(start)

    def _aligned(self, alignment: int, size: int) -> int:
        """Return memory from posix_memalign, or 0."""
        if self._memalign(self._where, alignment, size) != 0:
            return 0
        return self._known(self._out.value, size)

    def _settled(self, start: int, size: int) -> int:
        """Move an object that is too small for C to align it to where the kernel would have it."""
        if start % MINIMUM and size < MINIMUM:
            new = self._aligned(MINIMUM, size)
            if new:
                ctypes.memmove(new, start, size)
                self._free(start)
                return new
        return self._known(start, size)

    def _known(self, start: int, size: int) -> int:
        """Remember the size of a new object where the library does not."""
        if self._usable is None and start:
            self._sizes[start] = size
        return start

    def _release(self, start: int) -> None:
        """Free an object."""
        self._sizes.pop(start, None)
        self._free(start)

    def _clear(self, start: int, begin: int) -> None:
        """Zero an object from `begin` to its usable end."""
        if start:
            ctypes.memset(start + begin, 0, self.ksize(start) - begin)


@functools.lru_cache(maxsize=4096)
def _alignment(size: int) -> int:
    """Return the alignment that kmalloc owes a request: the size if a power of two, else the minimum."""
    return max(size, MINIMUM) if power_of_two_divisor(size) == size else MINIMUM
