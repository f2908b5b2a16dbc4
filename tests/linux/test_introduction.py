"""What a kernel's driver says of it makes its profile; the archive that a machine starts from."""

from __future__ import annotations

import mmap
import struct
import subprocess
from pathlib import Path

import pytest

from kmem_oracle.kernels.initrd import archive
from kmem_oracle.targets import mailbox
from kmem_oracle.targets.booted import profile_of
from kmem_oracle.targets.mailbox import Introduction
from kmem_oracle.targets.opened import Unusable
from kmem_spec.gfp import NAMES
from kmem_spec.profile import parse

CONSTANTS = {
    "version": 0x601,
    "page_size": 4096,
    "kmalloc_max": 4 << 20,
    "smallest_class": 8,
    "minimum_align": 8,
    "max_order": 10,
    "costly_order": 3,
    "cache_line": 64,
    "memory": 40 << 20,
    "page_offset": 0x60000000,
    "slob": 0,
}
MASKS = ("__GFP_DMA", "__GFP_ZERO", "GFP_KERNEL", "GFP_ATOMIC", "GFP_NOWAIT")


def said(gfp: str = "6.1", **constants: int) -> Introduction:
    masks = {name: NAMES[gfp][name] for name in MASKS}
    return Introduction(("kmalloc",), frozenset({"kmalloc"}), CONSTANTS | constants, masks)


def test_a_kernel_of_6_1_promises_what_6_1_does() -> None:
    profile = parse(profile_of(said()), "x")
    assert profile.promises == {"contract", "linux-6.1", "size-classes"}
    assert (profile.gfp, profile.vmalloc_max, profile.merge_order) == ("6.1", 40 << 20, 3)


def test_slob_has_no_size_classes() -> None:
    assert parse(profile_of(said(slob=1)), "x").promises == {"contract", "linux-6.1"}


def test_a_kernel_of_6_12_has_its_own_masks() -> None:
    profile = parse(profile_of(said("6.12", version=0x60C)), "x")
    assert profile.promises == {"contract", "linux-6.12", "size-classes"}
    assert profile.gfp == "6.12"


def test_zones_are_known_where_the_kernel_has_them() -> None:
    profile = parse(profile_of(said(dma_bytes=16 << 20, page_offset=0xFFFF888000000000)), "x")
    assert profile.dma_end == 0xFFFF888001000000


def test_masks_that_nobody_knows_are_not_guessed() -> None:
    odd = Introduction(("kmalloc",), frozenset(), CONSTANTS, {"GFP_KERNEL": 0x123})
    with pytest.raises(Unusable, match="GFP masks have other numbers"):
        profile_of(odd)


def told(text: bytes) -> mmap.mmap:
    """Return memory in which a driver has introduced itself by these words."""
    shared = mmap.mmap(-1, mailbox.SHARED)
    mailbox.prepare(shared, 1 << 20)
    at = mailbox.TEXT_AT
    struct.pack_into("<Q", shared, at - 8, len(text))
    shared[at : at + len(text)] = text
    return shared


def test_an_introduction_is_read() -> None:
    with told(b"call kmalloc 1\ncall vrealloc 0\nconstant version 1537\nmask GFP_KERNEL 3264\n") as shared:
        heard = mailbox.introduction(shared)
    assert heard == Introduction(
        ("kmalloc", "vrealloc"), frozenset({"kmalloc"}), {"version": 1537}, {"GFP_KERNEL": 3264}
    )


@pytest.mark.parametrize(
    "text", [b"", b"call kmalloc\n", b"hello world 3\n", b"call kmalloc x\n", b"\xff\xfe \x00 1"]
)
def test_words_that_are_none_of_ours_are_refused(text: bytes) -> None:
    with told(text) as shared, pytest.raises(Unusable, match="introduce"):
        mailbox.introduction(shared)


@pytest.mark.needs("cpio")
def test_the_archive_is_what_cpio_reads(tmp_path: Path) -> None:
    data = archive({"init": b"#!/bin/true\n", "kmem_oracle.ko": bytes(1001)})
    listed = subprocess.run(["cpio", "-tv"], input=data, capture_output=True, check=True, cwd=tmp_path).stdout
    lines = [line.split() for line in listed.decode().splitlines()]
    assert [line[-1] for line in lines] == ["dev", "dev/console", "init", "kmem_oracle.ko"]
    assert [line[0] for line in lines] == ["drwxr-xr-x", "crw-------", "-rwxr-xr-x", "-rwxr-xr-x"]
    assert lines[3][4] == "1001"
