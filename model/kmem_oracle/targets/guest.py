"""A kernel that runs as a guest: started with the driver in it, asked through bells, its console kept.

Runs in the worker's child. The guest is a process of its own, which ends with the child.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

from kmem_oracle.kernels.store import Kernel
from kmem_oracle.targets import mailbox
from kmem_oracle.targets.family import die_with_parent
from kmem_oracle.targets.opened import Gone, Unusable

MEMORY: Final = 44  # MiB of the guest
CONSOLE: Final = 1 << 16  # bytes of a console that are looked at
NO_RANDOM_ADDRESSES: Final = 0x0040000
_PANIC: Final = re.compile(r"Kernel panic - not syncing: ?(.*)")
_TROUBLE: Final = re.compile(
    r"(kernel BUG at \S+|BUG: .*|Kernel mode fault.*|Oops.*|general protection fault.*)"
)
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Guest:
    """A user-mode kernel: a program of the host that maps what is shared, and waits at a pipe."""

    def __init__(
        self, kernel: Kernel, options: Sequence[str], shared: mmap.mmap, memory_fd: int, largest: int
    ) -> None:
        """Boot, and wait until it serves.

        Errors   Unusable
        """
        self._shared = shared
        self._console: IO[bytes] = os.fdopen(os.memfd_create("console"), "w+b")
        self._start = self._read = 0  # bytes of the console before the first call; that were looked at
        mailbox.prepare(shared, largest)
        bell_out, self._bell = os.pipe()
        self._done, done_in = os.pipe()
        command = [
            str(kernel.image),
            f"mem={MEMORY}M",
            f"iomem=kmem-oracle,/proc/self/fd/{memory_fd}",
            f"kmem_oracle={bell_out},{done_in},{mailbox.AT}",
            "con=null",
            "con0=null,fd:2",
            "ssl=null",
            "loglevel=5",
            "oops=panic",
            *options,
        ]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._console,
                pass_fds=[memory_fd, bell_out, done_in],
                preexec_fn=_alone,  # nothing here has threads
                start_new_session=True,
                env=os.environ | {"TMPDIR": _room_for_memory()},
            )
        except OSError as error:
            raise Unusable(f"{kernel.image}: cannot be started: {error.strerror}") from error
        os.close(bell_out)
        os.close(done_in)
        self.pid = self._process.pid
        try:
            self._await()
        except Gone as gone:
            raise Unusable(f"linux:{kernel.name} did not come up: it {gone}") from gone
        self._start = self._console.seek(0, os.SEEK_END)

    def ask(self, base: int, counts: Sequence[int], *, threads: bool = False) -> None:
        """Let the driver run parts of what is shared.

        Errors   Gone where the kernel dies; OSError where threads cannot be made
        """
        mailbox.ask(self._shared, base, counts, threads=threads)
        with contextlib.suppress(BrokenPipeError):  # the wait finds out what became of it
            os.write(self._bell, b"\0")
        self._await()
        error = mailbox.error_of(self._shared)
        if threads and error:
            raise OSError(error, os.strerror(error))

    def _await(self) -> None:
        """Wait for an answer."""
        if not os.read(self._done, 1):
            status = self._process.wait()
            raise Gone(self._how(status))

    def news(self) -> str:
        """Return what the console has got since the last time."""
        self._console.seek(0, os.SEEK_END)
        end = self._console.tell()
        self._console.seek(max(self._read, end - CONSOLE))
        text = self._console.read(CONSOLE).decode("utf-8", "replace")
        self._read = end
        return _COLOUR.sub("", text).replace("\r", "")

    def console(self) -> str:
        """Return the end of the console."""
        self._read = self._start
        return self.news()

    def _how(self, status: int) -> str:
        """Return how the kernel died, to complete a sentence."""
        console = self.console()
        trouble = _TROUBLE.search(console)
        panic = _PANIC.search(console)
        words = [match[1].strip() for match in (trouble, panic) if match is not None and match[1].strip()]
        if words:
            return f"ended in a panic of the kernel: {'; '.join(dict.fromkeys(words))}"
        return f"ended the kernel (exit status {status})"


def _alone() -> None:
    """Make a process of ours end with its parent, and its addresses the same each time."""
    die_with_parent()
    ctypes.CDLL(None).personality(NO_RANDOM_ADDRESSES)


def _room_for_memory() -> str:
    """Return a folder with room for the guest's memory, in the host's memory where that is large enough."""
    for folder in ("/dev/shm", tempfile.gettempdir()):
        if (
            Path(folder).is_dir()
            and os.access(folder, os.W_OK)
            and shutil.disk_usage(folder).free > MEMORY << 21
        ):
            return folder
    return tempfile.gettempdir()
