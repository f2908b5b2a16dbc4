"""A kernel that runs as a guest: asked through a mailbox, its console kept.

Runs in the worker's child. The guest is a process of its own, which ends with the child.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import re
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from kmem_oracle.targets import mailbox
from kmem_oracle.targets.family import die_with_parent
from kmem_oracle.targets.opened import Gone, Unusable

REAL_TIME: Final = "real-time"  # an option of ours: a user-mode kernel whose clock ticks
CONSOLE: Final = 1 << 16  # bytes of a console that are looked at
NO_RANDOM_ADDRESSES: Final = 0x0040000
_PANIC: Final = re.compile(r"Kernel panic - not syncing: ?(.*)")
_TROUBLE: Final = re.compile(
    r"(kernel BUG at \S+|BUG: .*|Kernel mode fault.*|Oops: .*|general protection fault.*)"
)
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Guest(ABC):
    """A guest on its way: what starts it, and how it is asked, is each kind's own.

    pid   its process
    """

    def __init__(self, shared: mmap.mmap, largest: int) -> None:
        """Lay out what is shared; the driver touches no object of more than `largest` bytes."""
        self._shared = shared
        self._console: IO[bytes] = os.fdopen(os.memfd_create("console"), "w+b")
        fcntl.fcntl(self._console, fcntl.F_SETFL, os.O_APPEND)  # several may write to it
        self._start = self._read = 0  # bytes of the console before the first call; that were looked at
        self.pid = 0
        mailbox.prepare(shared, largest)

    @abstractmethod
    def _ring(self) -> None:
        """Tell the driver that there is a request."""

    @abstractmethod
    def _await(self) -> None:
        """Wait until the driver has answered.

        Errors   Gone where it died
        """

    def start(
        self, command: Sequence[str], passed: Sequence[int], environment: Mapping[str, str] | None = None
    ) -> None:
        """Start the guest's process, whose standard error is the console, and wait until it serves.

        Errors   Unusable
        """
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._console,
                pass_fds=passed,
                preexec_fn=_alone,  # nothing here has threads
                start_new_session=True,  # a kernel that panics ends its group
                env=os.environ | (environment or {}),
            )
        except OSError as error:
            raise Unusable(f"{command[0]}: cannot be started: {error.strerror}") from error
        self.pid = self._process.pid

    def come_up(self, label: str) -> None:
        """Wait until the driver serves.

        Errors   Unusable
        """
        try:
            self._await()
        except Gone as gone:
            raise Unusable(f"{label} did not come up: it {gone}") from gone
        self._start = self._read = os.fstat(self._console.fileno()).st_size

    def ask(self, base: int, counts: Sequence[int], *, threads: bool = False) -> None:
        """Let the driver run parts of what is shared.

        Errors   Gone where the kernel dies; OSError where threads cannot be made
        """
        mailbox.ask(self._shared, base, counts, threads=threads)
        self._ring()
        self._await()
        error = mailbox.error_of(self._shared)
        if threads and error:
            raise OSError(error, os.strerror(error))

    def news(self) -> str:
        """Return what the console has got since the last time."""
        end = os.fstat(self._console.fileno()).st_size
        begin = max(self._read, end - CONSOLE)
        text = os.pread(self._console.fileno(), end - begin, begin).decode("utf-8", "replace")
        self._read = end
        return _COLOUR.sub("", text).replace("\r", "")

    def console(self) -> str:
        """Return the end of the console, from the first call on."""
        self._read = self._start
        return self.news()

    def how(self, status: int) -> str:
        """Return how the kernel died, to complete a sentence."""
        console = self.console()
        found = (_TROUBLE.search(console), _PANIC.search(console))
        words = [match[1].strip() for match in found if match is not None and match[1].strip()]
        if words:
            return f"ended in a panic of the kernel: {'; '.join(dict.fromkeys(words))}"
        return f"ended the kernel (exit status {status})"


def _alone() -> None:
    """Make a process of ours end with its parent, and its addresses the same each time."""
    die_with_parent()
    ctypes.CDLL(None).personality(NO_RANDOM_ADDRESSES)


def room_for(memory: int) -> str:
    """Return a folder with room for a guest's memory, in bytes; in the host's memory where that has it."""
    for folder in ("/dev/shm", tempfile.gettempdir()):
        writable = Path(folder).is_dir() and os.access(folder, os.W_OK)
        if writable and shutil.disk_usage(folder).free > 2 * memory:
            return folder
    return tempfile.gettempdir()
