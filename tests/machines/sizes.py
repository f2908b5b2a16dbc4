"""Sizes that rules draw: around every class, and odd ones."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from kmem_spec.slab import CLASS_SIZES
from kmem_spec.units import PAGE_SIZE, SIZE_MAX

LARGEST: Final = 4 << 20
near_classes = st.builds(
    lambda size, off: max(1, size + off),
    st.sampled_from([*CLASS_SIZES, 16384, 65536, LARGEST // 4]),
    st.integers(-1, 1),
)
strange = st.sampled_from([0, 0, LARGEST, LARGEST + 1, 1 << 40, SIZE_MAX])
sizes = st.one_of(near_classes, near_classes, st.integers(1, 9000), strange)
counts = st.one_of(st.integers(0, 20), st.integers(0, 20), st.sampled_from([1 << 32, SIZE_MAX]))
elements = st.one_of(st.integers(0, 20), near_classes, st.sampled_from([1 << 32, SIZE_MAX]))
overflows = st.sampled_from(
    [(1 << 32, 1 << 32), (1 << 61, 8), (SIZE_MAX, 2), (SIZE_MAX, SIZE_MAX), ((1 << 61) + 1, 8)]
)
few = st.tuples(st.integers(1, 20), st.integers(1, 300))
shapes = st.one_of(few, few, st.tuples(counts, elements), overflows)
areas = st.one_of(
    st.integers(1, 12 * PAGE_SIZE),
    st.builds(lambda pages, off: pages * PAGE_SIZE + off, st.integers(1, 12), st.integers(-1, 1)),
    st.sampled_from([0, 2 << 20, 1 << 32, 1 << 45, (1 << 45) + 1, SIZE_MAX - PAGE_SIZE, SIZE_MAX]),
)
orders = st.sampled_from([0, 0, 0, 1, 2, 3, 3, 5, 8, 9, 10, 11, 64])
