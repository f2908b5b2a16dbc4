"""A user-mode kernel: a program of the host that maps what is shared, and waits at a pipe."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Sequence
from typing import Final

from kmem_oracle.kernels.store import Kernel
from kmem_oracle.targets.guest import REAL_TIME, Guest, room_for
from kmem_oracle.targets.opened import Gone

MEMORY: Final = 32  # MiB: enough for all that phases do, and soon exhausted


class UserMode(Guest):
    """A user-mode kernel on its way."""

    def __init__(
        self, kernel: Kernel, options: Sequence[str], shared: mmap.mmap, memory_fd: int, largest: int
    ) -> None:
        """Boot.

        Errors   Unusable
        """
        super().__init__(shared, largest)
        bell, self._bell = os.pipe()
        self._done, done = os.pipe()
        command = [
            str(kernel.image),
            f"mem={MEMORY}M",
            f"iomem=kmem-oracle,/proc/self/fd/{memory_fd}",
            f"kmem_oracle={bell},{done}",
            "con=null",
            "con0=null,fd:2",
            "ssl=null",
            "lpj=5000000",  # how long a turn takes need not be measured at every start
            "loglevel=5",
            "oops=panic",
        ]
        if REAL_TIME not in options:
            command.append("time-travel=inf-cpu")  # no tick: the same calls have the same answers, bit by bit
        command += [option for option in options if option != REAL_TIME]
        self.start(command, [memory_fd, bell, done], {"TMPDIR": room_for(MEMORY << 20)})
        os.close(bell)
        os.close(done)
        self.come_up(f"linux:{kernel.name}")

    def _ring(self) -> None:
        """Tell the driver that there is a request."""
        with contextlib.suppress(BrokenPipeError):  # the wait finds out what became of it
            os.write(self._bell, b"\0")

    def _await(self) -> None:
        """Wait until the driver has answered.

        Errors   Gone where it died
        """
        if not os.read(self._done, 1):
            raise Gone(self.how(self._process.wait()))
