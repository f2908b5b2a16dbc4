"""The memory of a process that answers lines: reached by requests, or through the system."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final, NoReturn

from kmem_oracle.targets.access import LOWEST
from kmem_oracle.targets.by_bytes import PERIOD, ByBytes, pattern
from kmem_oracle.targets.family import LINUX, ending, is_below
from kmem_oracle.targets.lines import HELP, Lines, number
from kmem_oracle.targets.opened import Gone, Unusable
from kmem_oracle.targets.prototypes import Symbol

READ_AND_WRITE: Final = frozenset({"read", "write"})
LAST: Final = 1 << 63  # the upper half is the kernel's
UNMAPPED: Final = "failed: nothing is mapped there that may be touched"


class Requested(ByBytes):
    """Access by requests: read and write, and compare where the process has it."""

    def __init__(self, lines: Lines, *, compares: bool) -> None:
        """Send requests to that process."""
        super().__init__(self._read, self._write)
        self._lines = lines
        self._compares = compares

    def fill(self, start: int, length: int, identifier: int) -> None:
        """Write the pattern of an object over an extent, which the process repeats."""
        if length > 0 and not self._lines.imprinted:
            self._lines.touch(_request("write", start, length, pattern(identifier, length)))

    def changed(self, start: int, length: int, identifier: int) -> int:
        """Return the offset of the first byte that differs from the object's pattern, or -1."""
        if not self._compares:
            return super().changed(start, length, identifier)
        return self._first_other(start, length, pattern(identifier, length)) if length > 0 else -1

    def nonzero(self, start: int, begin: int, end: int) -> int:
        """Return the offset from `start` of the first byte from `begin` to `end` that is not zero, or -1."""
        if not self._compares:
            return super().nonzero(start, begin, end)
        offset = self._first_other(start + begin, end - begin, b"\0") if end > begin else -1
        return -1 if offset < 0 else begin + offset

    def _first_other(self, start: int, length: int, due: bytes) -> int:
        """Ask for the offset of the first byte that is not as it should be."""
        request = _request("compare", start, length, due)
        answer = self._lines.touch(request)
        offset = number(answer)
        if answer is None or offset is None or not -1 <= offset < length:
            self._lines.senseless(request, answer)
        return offset

    def _read(self, start: int, length: int) -> bytes:
        """Ask for bytes."""
        request = f'{{"call":"read","args":["{start:#x}",{length}]}}\n'.encode("ascii")
        answer = self._lines.touch(request)
        try:
            data = bytes.fromhex(answer) if isinstance(answer, str) else b""
        except ValueError:
            data = b""
        if len(data) != length:
            self._lines.senseless(request, answer)
        return data

    def _write(self, start: int, data: bytes) -> None:
        """Have bytes written."""
        self._lines.touch(_request("write", start, len(data), data))


def _request(name: str, start: int, length: int, data: bytes) -> bytes:
    """Return a request over an extent and the bytes that are due there, again and again."""
    return f'{{"call":"{name}","args":["{start:#x}",{length},"{data.hex()}"]}}\n'.encode("ascii")


class Foreign:
    """The memory of another process, which the system copies; what that may not touch, it does not."""

    def __init__(self, lines: Lines, pid: int) -> None:
        """Reach the memory of that process."""
        library = ctypes.CDLL(None, use_errno=True)
        self._lines, self._pid = lines, pid
        self._from, self._to = library.process_vm_readv, library.process_vm_writev
        buffer = ctypes.create_string_buffer(PERIOD)
        self._bytes = memoryview(buffer).cast("B")
        self._here = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 0)  # a struct iovec: start and length
        self._there = (ctypes.c_uint64 * 2)()

    def refused(self) -> int:
        """Return the number of the error with which the system refuses it altogether, or 0."""
        self._copy(self._from, LOWEST, 1)
        error = ctypes.get_errno()
        return 0 if error == errno.EFAULT else error

    def read(self, start: int, length: int) -> bytes:
        """Return the bytes of an extent, PERIOD at most."""
        if not self._copy(self._from, start, length):
            self._missing()
        return self._bytes[:length].tobytes()

    def write(self, start: int, data: bytes) -> None:
        """Set the bytes from `start` on, PERIOD at most; a constructor has done so already."""
        if self._lines.imprinted:
            return
        self._bytes[: len(data)] = data
        if not self._copy(self._to, start, len(data)):
            self._missing()

    def _copy(self, function: Symbol, start: int, length: int) -> bool:
        """Copy between the buffer and the process; say whether all of it could be copied."""
        self._here[1] = length
        self._there[0], self._there[1] = start, length
        ctypes.set_errno(0)
        copied: int = function(self._pid, self._here, 1, self._there, 1, 0)
        return copied == length

    def _missing(self) -> NoReturn:
        """Say why memory cannot be reached."""
        code = self._lines.process.poll()
        raise Gone(UNMAPPED if code is None else ending(code))


class ForeignAccess(ByBytes):
    """Access to the memory of another process."""

    def reachable(self, start: int, length: int) -> bool:
        """Say whether the extent could be mapped."""
        return start >= LOWEST and start + length <= LAST


def process_memory(lines: Lines, pid: object) -> ForeignAccess:
    """Return access to the memory of the process of that number, which the command must have started.

    Errors   Unusable
    """
    worker, child = os.getppid(), os.getpid()
    if not isinstance(pid, int) or pid in (worker, child) or not is_below(pid, worker):
        raise Unusable(f"{lines.label}: its hello line has pid {pid}, which is no process of its own; {HELP}")
    foreign = Foreign(lines, pid) if LINUX else None
    error = errno.ENOSYS if foreign is None else foreign.refused()
    if foreign is None or error:
        raise Unusable(
            f"{lines.label}: the memory of process {pid} cannot be reached ({os.strerror(error)}): "
            "leave pid out of the hello line, and answer read and write"
        )
    return ForeignAccess(foreign.read, foreign.write)
