"""Calls by short names: what many scripts of tests are made of."""

from __future__ import annotations

from kmem_oracle.language.script import Op
from kmem_spec.gfp import GFP_KERNEL

K = GFP_KERNEL


def km(out: int, size: int = 64, gfp: int = K) -> Op:
    return Op("kmalloc", out, (size, gfp))


def kf(item: int) -> Op:
    return Op("kfree", 0, (item,))
