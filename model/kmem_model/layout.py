"""How SLUB lays objects out: slot size, slab order, objects to a slab. All of it policy, none promised.

Source   mm/slub.c of 6.12: calculate_sizes, calculate_order. 6.1 chooses the same for slots to 10920.
"""

from __future__ import annotations

from typing import Final

from kmem_spec.units import MAX_ORDER, PAGE_SIZE, get_order, round_up

SLUB_MAX_ORDER: Final = 3  # slabs of more than one object are not larger
MAX_OBJECTS: Final = 32767
WORD: Final = 8


def slot_size(size: int, align: int, *, pointer_outside: bool = False) -> int:
    """Return the distance from one object to the next.

    Units    bytes
    Needs    size > 0, align a power of two not below 8
    Gives    room for the free pointer behind the object where it may not lie within: a constructor, or
             readers under RCU, rely on what a free object holds
    """
    return round_up(round_up(size, WORD) + (WORD if pointer_outside else 0), align)


def slab_order(slot: int, cpus: int = 1) -> int | None:
    """Return the order of a slab, or None where no block of pages holds one object.

    Units    slot in bytes
    """
    wanted = min(4 * (cpus.bit_length() + 1), (PAGE_SIZE << SLUB_MAX_ORDER) // slot)
    for fraction in (16, 8, 4, 2):
        for order in range(get_order(wanted * slot), SLUB_MAX_ORDER + 1):
            slab = PAGE_SIZE << order
            if slot <= slab and slab % slot <= slab // fraction:
                return order
    order = get_order(slot)
    return order if order <= MAX_ORDER else None


def objects_per_slab(slot: int, order: int) -> int:
    """Return how many slots a slab has.

    Units    slot in bytes
    """
    return min((PAGE_SIZE << order) // slot, MAX_OBJECTS)
