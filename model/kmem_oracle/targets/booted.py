"""Linux kernels as targets: boot one that was built, learn what it is, run chunks of calls in it.

A name is that of a built kernel, and may be followed by options of its command line: 6.1-slub,slub_nomerge.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Final

from kmem_oracle.kernels import shadow, store
from kmem_oracle.targets.guest import Guest
from kmem_oracle.targets.machine import Machine
from kmem_oracle.targets.mailbox import Introduction, introduction
from kmem_oracle.targets.opened import Unusable
from kmem_oracle.targets.target import CouldNotRun
from kmem_oracle.targets.user_mode import UserMode
from kmem_spec.gfp import NAMES

LARGEST: Final = 1 << 24  # bytes of one object that are touched: a guest has not much more
DRIVER_NEEDS: Final = ("page_address", "virt_to_page")
# Calls whose misuse is not theirs to survive, or that are the driver's own helpers.
HELPERS: Final = frozenset({"page_address", "virt_to_page", "check", "item", "mempool_fail"})


class Booted:
    """A kernel that has come up, and what it said of itself."""

    def __init__(self, name: str, shared: mmap.mmap, memory_fd: int) -> None:
        """Boot it.

        Errors   Unusable
        """
        kernel_name, *options = name.split(",")
        try:
            kernel = store.find(kernel_name)
        except CouldNotRun as error:
            raise Unusable(str(error)) from error
        if kernel.driver != shadow.driver_hash():
            raise Unusable(
                f"linux:{kernel_name} was built with another version of the driver: build it again with "
                f"`kmem-oracle kernel build`"
            )
        kind = UserMode if kernel.how == "uml" else Machine
        self._guest: Guest = kind(kernel, options, shared, memory_fd, LARGEST)
        self.pid = self._guest.pid
        self.said = introduction(shared)
        self.profile = profile_of(self.said)

    @property
    def calls(self) -> frozenset[str]:
        """Return the calls that can be asked of it."""
        return self.said.calls - HELPERS

    def run(self, base: int, count: int) -> None:
        """Run the calls of the part at byte `base`.

        Errors   Gone
        """
        self._guest.ask(base, (count,))

    def run_threads(self, base: int, counts: Sequence[int]) -> None:
        """Run the calls of the parts from byte `base` on, each in a task.

        Errors   Gone, OSError
        """
        self._guest.ask(base, counts, threads=True)

    def news(self) -> str:
        """Return what the console has got since the last time."""
        return self._guest.news()

    def console(self) -> str:
        """Return the end of the console."""
        return self._guest.console()


def profile_of(said: Introduction) -> str:
    """Return the profile, as text, that a kernel's constants make.

    Errors   Unusable where its masks have numbers that no profile has
    """
    gfp = next(
        (
            name
            for name, names in NAMES.items()
            if all(names[mask] == value for mask, value in said.masks.items())
        ),
        "",
    )
    if not gfp:
        raise Unusable(
            "this kernel's GFP masks have other numbers than those of 6.1 and of 6.12, which are known"
        )
    number = said.constants
    promises = ["contract"] + [
        promise
        for promise, wanted in (
            ("linux-6.1", 0x601 <= number["version"] < 0x60C),
            ("linux-6.12", number["version"] >= 0x60C),
            ("size-classes", number["slob"] == 0),
        )
        if wanted
    ]
    lines = {
        "promises": "[" + ", ".join(f'"{promise}"' for promise in promises) + "]",
        "gfp": f'"{gfp}"',
        "smallest_class": number["smallest_class"],
        "minimum_align": number["minimum_align"],
        "kmalloc_max": number["kmalloc_max"],
        "max_order": number["max_order"],
        "merge_order": number["costly_order"],
        "cache_line": number["cache_line"],
        "vmalloc_max": number["memory"],
        "dma_end": number["page_offset"] + number["dma_bytes"] if number.get("dma_bytes") else 0,
    }
    return "".join(f"{name} = {value}\n" for name, value in lines.items())
