"""From a call to what it asks for: `Asked`, a pure function of the call and the profile."""

from __future__ import annotations

from kmem_spec import gfp as masks
from kmem_spec.calls import APIS, Api, Asked, Call
from kmem_spec.profile import Profile
from kmem_spec.slab import size_class
from kmem_spec.units import PAGE_SHIFT, PAGE_SIZE, SIZE_MAX, is_power_of_two, power_of_two_divisor


def argument(api: Api, args: tuple[int, ...], parameter: str) -> int:
    """Return the argument for `parameter`, or 0 where the call has none."""
    for name, value in zip(api.parameters, args, strict=True):
        if name == parameter:
            return value
    return 0


def size_asked(api: Api, args: tuple[int, ...]) -> int:
    """Return the bytes that a call asks for; of an array the exact product."""
    if api.family == "page":
        return PAGE_SIZE << argument(api, args, "order")
    size = argument(api, args, "size")
    return argument(api, args, "count") * size if "count" in api.parameters else size


def expect(call: Call, profile: Profile) -> Asked:
    """Return what an allocating or resizing call asks for, as if it made a new object.

    A krealloc of a live object differs in what it keeps and what it zeroes: see `resized`.
    """
    api = APIS[call.api]
    size = size_asked(api, call.args)
    mask = argument(api, call.args, "gfp")
    fits = 0 < size <= SIZE_MAX
    divisor = power_of_two_divisor(size) if fits else 1
    minimum = PAGE_SIZE if api.family == "page" else profile.minimum_align
    exact = "size-classes" in profile.promises and api.family == "kmalloc" and fits
    return Asked(
        api=api.name,
        family=api.family,
        size=size,
        limit=PAGE_SIZE << profile.max_order if api.family == "page" else profile.kmalloc_max,
        gfp=mask,
        order=argument(api, call.args, "order"),
        minimum=minimum,
        natural=size if fits and is_power_of_two(size) else 1,
        divisor=divisor,
        slot=size_class(size, profile.smallest_class) if exact else 0,
        zero_from=0,
        zero_to=size if api.zeroes or masks.has(mask, masks.ZERO) else 0,
        keep=0,
        zone_end=_zone_end(mask, profile),
    )


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


def pages_of(asked: Asked) -> int:
    """Return the pages of a block asked for."""
    return asked.size >> PAGE_SHIFT
