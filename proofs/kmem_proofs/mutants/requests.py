"""Faults of what a call asks for, and of the rules that it falls under."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kmem_spec import expect
from kmem_spec.apis import Api
from kmem_spec.area import NOTHING, Space
from kmem_spec.cache import Slabs
from kmem_spec.calls import Answer, Asked, Call
from kmem_spec.profile import Profile
from kmem_spec.units import NULL, PAGE_SIZE

Premises = tuple[Callable[[Asked], bool], ...]
RESIZED: Final[Callable[..., Asked]] = expect.resized


def extent_as_asked(asked: Asked, _usable: int) -> int:
    """Forget what ksize says."""
    return expect.extent_of(asked, asked.size)


def extent_unrounded(asked: Asked, usable: int) -> int:
    """Forget that pages are whole."""
    return max(asked.size, usable)


def extent_of_blocks_alone(asked: Asked, usable: int) -> int:
    """Round pages, and forget areas."""
    return max(asked.size, usable) if asked.family == "vmap" else expect.extent_of(asked, usable)


def resized_owing(asked: Asked, **given: int) -> Asked:
    """Ask for alignment even where the object stays."""
    return RESIZED(asked, **{**given, "stays": False})


def resized_owing_nothing(asked: Asked, **given: int) -> Asked:
    """Ask for no alignment even where the object moves."""
    return RESIZED(asked, **{**given, "stays": True})


def resized_zeroed(asked: Asked, **given: int) -> Asked:
    """Promise zeroes whoever asked for the old object."""
    return RESIZED(asked, **{**given, "zeroed": True})


def resized_wiped(asked: Asked, **given: int) -> Asked:
    """Promise zeroes from the beginning."""
    return RESIZED(asked, **{**given, "zero_from": 0})


def resized_anew(asked: Asked, **given: int) -> Asked:
    """Keep nothing."""
    return RESIZED(asked, **{**given, "keep": 0})


def handle_of_words(call: Call, handle: int, size: int, _align: int, *, constructed: bool) -> Asked:
    """Align to words, whatever the cache says."""
    return expect.of_handle(call, handle, size, 8, constructed=constructed)


def handle_of_a_page(call: Call, handle: int, size: int, align: int, *, constructed: bool) -> Asked:
    """Serve no more than a page."""
    return expect.of_handle(call, handle, size, align, constructed=constructed)._replace(limit=PAGE_SIZE)


def handle_of_nobody(call: Call, _handle: int, size: int, align: int, *, constructed: bool) -> Asked:
    """Forget whose the object is."""
    return expect.of_handle(call, NULL, size, align, constructed=constructed)


def handle_by_mask_alone(call: Call, handle: int, size: int, align: int, *, constructed: bool) -> Asked:
    """Look for zeroes at the mask alone."""
    plain = Call("kmem_cache_alloc" if call.api == "kmem_cache_zalloc" else call.api, call.args)
    return expect.of_handle(plain, handle, size, align, constructed=constructed)


def handle_by_name_alone(call: Call, handle: int, size: int, align: int, *, constructed: bool) -> Asked:
    """Look for zeroes at the name alone."""
    return expect.of_handle(Call(call.api, (call.args[0], 0)), handle, size, align, constructed=constructed)


def limit_one_order_less(api: Api, profile: Profile) -> int:
    """Take the largest order for the first that is too large."""
    limit = expect.limit_of(api, profile)
    return limit // 2 if api.family in expect.BLOCKS else limit


def limit_of_kmalloc(_api: Api, profile: Profile) -> int:
    """Limit all calls as kmalloc is."""
    return profile.kmalloc_max


def served_below(asked: Asked) -> bool:
    """Leave the limit itself out."""
    return 0 < asked.size < asked.limit


def served_from_nothing(asked: Asked) -> bool:
    """Take nothing for something."""
    return 0 <= asked.size <= asked.limit


SERVED: Final = (("the limit is not served", served_below), ("nothing is served", served_from_nothing))


def any_address(_asked: Asked, got: Answer) -> bool:
    """Ask for an address alone."""
    return got.result > NULL


def half_the_class(asked: Asked, got: Answer) -> bool:
    """Let an object be of the class below."""
    return 2 * got.usable >= asked.slot


def frame_of_some_page(space: Space, page: int) -> bool:
    """Ask only whether the frame backs a page."""
    return space.backing.get(space.frames.get(page, NOTHING), NOTHING) != NOTHING


def held_for_some_page(space: Space, frame: int) -> bool:
    """Ask only whether the page has a frame."""
    return space.frames.get(space.backing.get(frame, NOTHING), NOTHING) != NOTHING


def page_names_some_slab(cache: Slabs, _base: int, page: int) -> bool:
    """Ask only whether the page is a slab's."""
    return cache.owners.get(page, NULL) != NULL


FAULTS: Final[dict[str, list[tuple[str, object]]]] = {
    "MEM-APART/extent_of/exact": [
        ("what ksize gives is forgotten", extent_as_asked),
        ("pages are not rounded", extent_unrounded),
        ("areas of vmap are not rounded", extent_of_blocks_alone),
    ],
    "SLAB-ALIGN/resized/exact": [
        ("what stays is to be aligned", resized_owing),
        ("what moves need not be aligned", resized_owing_nothing),
    ],
    "SLAB-REALLOC-ZERO/resized/exact": [
        ("the old object need not be zeroed", resized_zeroed),
        ("zeroes are promised from the beginning", resized_wiped),
    ],
    "SLAB-REALLOC-KEEP/resized/exact": [("nothing is kept", resized_anew)],
    "CACHE-ALIGN/of_handle/exact": [
        ("words are enough", handle_of_words),
        ("it is forgotten whose the object is", handle_of_nobody),
    ],
    "MEM-ZERO/of_handle/exact": [
        ("the mask alone is asked", handle_by_mask_alone),
        ("the name alone is asked", handle_by_name_alone),
    ],
    "MEM-NULL/of_handle/implies": [("a page is the most", handle_of_a_page)],
    "SLAB-MAX/limit_of/exact": [("all are limited as kmalloc is", limit_of_kmalloc)],
    "PAGE-ORDER-MAX/limit_of/exact": [("the largest order is too large", limit_one_order_less)],
    "SLAB-ALIGN-POWER/others/implies": [("any address will do", any_address)],
    "PAGE-ALIGN/page/implies": [("any address will do", any_address)],
    "SLAB-CLASS/usable/implies": [("the class below will do", half_the_class)],
    "VM-FRAME/two_pages/implies": [("it may back another page", frame_of_some_page)],
    "VM-HELD/two_frames/implies": [("the page may have another frame", held_for_some_page)],
    "SLAB-OWNER/page/implies": [("the page may name another slab", page_names_some_slab)],
}
