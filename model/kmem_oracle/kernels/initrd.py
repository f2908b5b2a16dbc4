"""The first file system of a virtual machine: an archive of a few files, in cpio's "newc" format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_FILE, _FOLDER, _DEVICE = 0o100000, 0o040000, 0o020000
_END: Final = "TRAILER!!!"


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return an archive with these files, which may be run, and a console."""
    parts = [_entry("dev", _FOLDER | 0o755, b""), _entry("dev/console", _DEVICE | 0o600, b"", device=(5, 1))]
    parts += [_entry(name, _FILE | 0o755, data) for name, data in files.items()]
    return b"".join([*parts, _entry(_END, 0, b"")])


def _entry(name: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> bytes:
    """Return one entry: a head of numbers in hexadecimal, the name, the data, each filled up to words."""
    numbers = (0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % number for number in numbers) + name.encode() + b"\0"
    return _filled(head) + _filled(data)


def _filled(data: bytes) -> bytes:
    """Return data with zeroes up to a multiple of four bytes."""
    return data + bytes(-len(data) % 4)
