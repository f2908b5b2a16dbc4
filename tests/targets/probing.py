"""What probes share. A probe is a short use of the library that asserts what it should see.

Every probe passes on the correct library, and fails on a library with one of the faults that it is for.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import traceback
from collections.abc import Callable
from typing import Final

from tests.targets.binding import GFP_KERNEL, Kmem, write

Probe = Callable[[Kmem], None]
PROBES: Final[dict[str, Probe]] = {}  # by fault
GENERAL: Final[list[Probe]] = []  # for no fault
PAGE: Final = 4096
SECONDS: Final = 60  # of one child
MOST_PAGES: Final = 20_000  # more than any arena has


def probe(*faults: str) -> Callable[[Probe], Probe]:
    """Declare the decorated function as the probe for some faults."""

    def declare(function: Probe) -> Probe:
        PROBES.update(dict.fromkeys(faults, function))
        return function

    return declare


def general(function: Probe) -> Probe:
    """Declare the decorated function as a probe for no fault: of what a correct library does."""
    GENERAL.append(function)
    return function


def in_child(action: Callable[[], object]) -> str:
    """Run an action in a child process; return "" if it ended well, else how it ended."""
    inbox, outbox = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            faulthandler.disable()
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(SECONDS)
            action()
            code = 0
        finally:
            if code:
                os.write(outbox, traceback.format_exc().encode()[-4000:])
            os._exit(code)
    os.close(outbox)
    with os.fdopen(inbox, "rb") as told:
        text = told.read().decode()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return text if code >= 0 else signal.Signals(-code).name


def every_page(kmem: Kmem, gfp: int = GFP_KERNEL) -> list[int]:
    """Take every page that a mask reaches, and give all back; return their struct pages."""
    array = (ctypes.c_void_p * MOST_PAGES)()
    got = refused = 0
    while refused < 2:  # VARIANT_FAILS refuses at times
        now = kmem.call("alloc_pages_bulk", gfp, MOST_PAGES, array)
        refused = refused + 1 if now == got else 0
        got = now
    pages = [int(page or 0) for page in array[:got]]
    for page in pages:
        kmem.call("__free_pages", page, 0)
    return pages


def assert_all_comes_back(kmem: Kmem, body: Callable[[], None]) -> None:
    """Run something again and again, and see that no less memory is there; once before, for what is kept."""
    body()
    before = len(every_page(kmem))
    for _ in range(4):
        body()
    assert len(every_page(kmem)) == before


def filled(kmem: Kmem, name: str, size: int, *arguments: object, byte: int = 0xFF) -> int:
    """Make an object whose every byte is the same."""
    address = kmem.get(name, size, *arguments)
    assert address
    write(address, bytes([byte]) * size)
    return address


def vector(addresses: list[int]) -> ctypes.Array[ctypes.c_void_p]:
    """Return an array of pointers."""
    return (ctypes.c_void_p * len(addresses))(*addresses)
