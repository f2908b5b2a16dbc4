"""The memory of a process that answers lines: reached by requests, or by the system without asking it."""

from __future__ import annotations

import os
from typing import Final

from kmem_oracle.targets.access import LOWEST
from kmem_oracle.targets.by_bytes import ByBytes, pattern
from kmem_oracle.targets.family import ending, is_below
from kmem_oracle.targets.lines import HELP, Lines, number
from kmem_oracle.targets.opened import Gone, Unusable

REQUESTS: Final = frozenset({"read", "write", "compare"})
LAST: Final = (1 << 63) - 1  # a file, as which the system shows a process's memory, has no more bytes
UNMAPPED: Final = "failed: nothing is mapped there"


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
        request = f'{{"read":["{start:#x}",{length}]}}\n'.encode("ascii")
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
    return f'{{"{name}":["{start:#x}",{length},"{data.hex()}"]}}\n'.encode("ascii")


class Mapped:
    """The memory of a process as the system shows it in a file."""

    def __init__(self, lines: Lines, file: int) -> None:
        """Read and write that file, at the addresses of the process."""
        self._lines = lines
        self._file = file

    def read(self, start: int, length: int) -> bytes:
        """Return the bytes of an extent."""
        try:
            data = os.pread(self._file, length, start)
        except OSError:
            data = b""
        if len(data) != length:
            self._missing()
        return data

    def write(self, start: int, data: bytes) -> None:
        """Set the bytes from `start` on; a constructor has done so already."""
        if self._lines.imprinted:
            return
        try:
            written = os.pwrite(self._file, data, start)
        except OSError:
            written = 0
        if written != len(data):
            self._missing()

    def _missing(self) -> None:
        """Say why memory cannot be reached."""
        code = self._lines.process.poll()
        raise Gone(UNMAPPED if code is None else ending(code))


class MappedAccess(ByBytes):
    """Access to the memory of a process as the system shows it."""

    def reachable(self, start: int, length: int) -> bool:
        """Say whether the extent could be mapped."""
        return start >= LOWEST and start + length <= LAST


def process_memory(lines: Lines, pid: object) -> MappedAccess:
    """Return access to the memory of the process of that number, which the command must have started.

    Errors   Unusable
    """
    worker, child = os.getppid(), os.getpid()
    if not isinstance(pid, int) or pid in (worker, child) or not is_below(pid, worker):
        raise Unusable(f"{lines.label}: its hello line has pid {pid}, which is no process of its own; {HELP}")
    try:
        mapped = Mapped(lines, os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise Unusable(
            f"{lines.label}: the memory of process {pid} cannot be reached ({error.strerror}): "
            "leave pid out of the hello line, and answer read and write"
        ) from error
    return MappedAccess(mapped.read, mapped.write)
