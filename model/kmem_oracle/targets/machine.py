"""A virtual machine with a stock kernel, under QEMU: the bells are words in what is shared."""

from __future__ import annotations

import mmap
import time
from collections.abc import Sequence
from typing import Final

from kmem_oracle.kernels.stock import INITRD
from kmem_oracle.kernels.store import Kernel
from kmem_oracle.targets.guest import REAL_TIME, Guest
from kmem_oracle.targets.mailbox import AT, SHARED
from kmem_oracle.targets.opened import Gone

QEMU: Final = "qemu-system-x86_64"
MEMORY: Final = 256  # MiB
TURN: Final = 0.0002  # seconds between two looks at the bell
COME_UP: Final = 90.0  # seconds
APPEND: Final = (
    "console=ttyS0 loglevel=5 panic=-1 oops=panic reboot=t nokaslr mitigations=off tsc=reliable "
    "no_timer_check acpi=off no5lvl cryptomgr.notests random.trust_cpu=on rdinit=/init"
)


class Machine(Guest):
    """A virtual machine on its way. An option smp=N gives it N processors."""

    def __init__(
        self, kernel: Kernel, options: Sequence[str], shared: mmap.mmap, memory_fd: int, largest: int
    ) -> None:
        """Boot.

        Errors   Unusable
        """
        super().__init__(shared, largest)
        self._words = memoryview(shared).cast(
            "Q"
        )  # a word is written whole; struct.pack_into goes byte by byte
        self._asked = 0
        self._words[AT // 8] = self._words[AT // 8 + 1] = 0
        processors = next((option[4:] for option in options if option.startswith("smp=")), "1")
        own = ("smp=", REAL_TIME)
        append = " ".join([APPEND, *(option for option in options if not option.startswith(own))])
        device = f"memory-backend-file,id=shared,size={SHARED},mem-path=/proc/self/fd/{memory_fd},share=on"
        command = [
            *(QEMU, "-M", "pc", "-accel", "tcg", "-cpu", "max", "-smp", processors, "-m", f"{MEMORY}M"),
            *(
                "-nodefaults",
                "-no-reboot",
                "-display",
                "none",
                "-chardev",
                "file,id=console,append=on,path=/proc/self/fd/2",
            ),
            *(
                "-serial",
                "chardev:console",
                "-kernel",
                str(kernel.image),
                "-initrd",
                str(kernel.folder / INITRD),
            ),
            *("-append", append, "-object", device, "-device", "ivshmem-plain,memdev=shared"),
        ]
        self._limit = time.monotonic() + COME_UP
        self.start(command, [memory_fd])
        self.come_up(f"linux:{kernel.name}")
        self._limit = float("inf")

    def _ring(self) -> None:
        """Tell the driver that there is a request."""
        self._asked += 1
        self._words[AT // 8] = self._asked

    def _await(self) -> None:
        """Wait until the driver has answered.

        Errors   Gone where it died
        """
        turns = 0
        while self._words[AT // 8 + 1] != self._asked + 1:
            turns += 1
            if turns > 200:
                time.sleep(TURN)
                status = self._process.poll()
                if status is not None:
                    raise Gone(self.how(status))
                if time.monotonic() > self._limit:
                    self._process.kill()
                    raise Gone(f"did not serve within {COME_UP:.0f} s; {self.how(self._process.wait())}")
