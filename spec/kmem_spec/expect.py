"""From a call to what it asks for: `Asked`, a pure function of the call, the profile and what it names."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from kmem_spec import gfp as masks
from kmem_spec.apis import APIS, Api, argument
from kmem_spec.calls import Asked, Call
from kmem_spec.profile import Profile
from kmem_spec.slab import size_class
from kmem_spec.units import (
    ADDRESS_BITS,
    PAGE_SIZE,
    SIZE_MAX,
    is_power_of_two,
    power_of_two_divisor,
    round_up,
)
from kmem_spec.vmalloc import INT_MAX

BLOCKS: Final = frozenset({"page", "exact"})
AREAS: Final = frozenset({"vmalloc", "vmap"})
WHOLE_PAGES: Final = BLOCKS | AREAS


def size_asked(api: Api, args: tuple[int, ...]) -> int:
    """Return the bytes that a call asks for; of an array the exact product."""
    if "order" in api.parameters or api.name == "get_zeroed_page":
        return PAGE_SIZE << min(argument(api, args, "order"), ADDRESS_BITS)  # no memory has more
    if api.role == "map":
        return argument(api, args, "count") * PAGE_SIZE
    size = argument(api, args, "size")
    return argument(api, args, "count") * size if "count" in api.parameters else size


def expect(call: Call, profile: Profile) -> Asked:
    """Return what an allocating or resizing call asks for, as if it made a new object.

    A krealloc of a live object differs in what it keeps and what it zeroes: see `resized`. An object of a
    cache or a pool is as large as that says: see `of_handle`.
    """
    api = APIS[call.api]
    family = api.family
    kmalloc = family == "kmalloc"
    size = size_asked(api, call.args)
    mask = argument(api, call.args, "gfp") | api.gfp
    natural, divisor, slot = _earned(size, profile.smallest_class if kmalloc else 0)
    block = family == "page"
    return Asked(
        api=api.name,
        family=family,
        size=size,
        limit=limit_of(api, profile),
        gfp=mask,
        order=argument(api, call.args, "order"),
        minimum=PAGE_SIZE if family in WHOLE_PAGES else profile.minimum_align,
        natural=natural if kmalloc or block else 1,
        divisor=divisor if kmalloc or block else 1,
        slot=slot if "size-classes" in profile.promises else 0,
        zero_from=0,
        zero_to=size if api.zeroes or mask & masks.ZERO else 0,
        keep=size if api.role == "copy" else 0,
        zone_end=_zone_end(mask, profile) if profile.dma_end or profile.dma32_end else 0,
        guard=PAGE_SIZE if family in AREAS else 0,
    )


def limit_of(api: Api, profile: Profile) -> int:
    """Return the largest size in bytes that a call serves."""
    if api.family in BLOCKS:
        return PAGE_SIZE << profile.max_order
    if api.family in AREAS:
        return profile.vmalloc_max
    return INT_MAX if api.family == "kv" else profile.kmalloc_max


def of_handle(call: Call, handle: int, size: int, align: int, *, constructed: bool) -> Asked:
    """Return what a request for an object of a cache or a pool asks for.

    Units    size and align in bytes, as the cache or pool has them; `handle` is its address
    """
    api = APIS[call.api]
    mask = argument(api, call.args, "gfp")
    return Asked(
        api=api.name,
        family=api.family,
        size=size,
        limit=max(size, 1),
        gfp=mask,
        order=argument(api, call.args, "count"),
        minimum=align,
        natural=1,
        divisor=1,
        slot=0,
        zero_from=0,
        zero_to=size if api.zeroes or mask & masks.ZERO else 0,
        keep=0,
        zone_end=0,
        handle=handle,
        constructed=int(constructed),
    )


def extent_of(asked: Asked, usable: int) -> int:
    """Return the bytes that a new object has to itself, its guard not counted: of pages, whole ones."""
    size = max(asked.size, usable)
    return round_up(size, PAGE_SIZE) if asked.family in WHOLE_PAGES else size


@lru_cache(maxsize=1 << 16)
def _earned(size: int, smallest: int) -> tuple[int, int, int]:
    """Return what a size earns: natural alignment, divisor, and size class (0 where `smallest` is)."""
    if not 0 < size <= SIZE_MAX:
        return 1, 1, 0
    natural = size if is_power_of_two(size) else 1
    return natural, power_of_two_divisor(size), size_class(size, smallest) if smallest else 0


def resized(asked: Asked, *, keep: int, zero_from: int, zeroed: bool, stays: bool) -> Asked:
    """Return what a krealloc of a live object asks for.

    Units    keep and zero_from in bytes
    Gives    zeroes are promised from `zero_from` on, and only where every call so far asked for them
             (`zeroed`); an object that stays where it is owes no alignment and no size class
    Source   mm/slab_common.c: krealloc
    """
    zero_to = asked.size if zeroed and asked.zero_to else 0
    asked = asked._replace(keep=keep, zero_from=zero_from, zero_to=zero_to)
    return asked._replace(minimum=1, natural=1, divisor=1, slot=0) if stays else asked


def _zone_end(mask: int, profile: Profile) -> int:
    """Return the first address beyond the zones that `mask` permits, 0 where unknown."""
    if not masks.zone_is_legal(mask):
        return 0
    zone = masks.highest_zone(mask)
    if zone == masks.ZONE_DMA:
        return profile.dma_end
    return profile.dma32_end if zone == masks.ZONE_DMA32 else 0
