"""Sources: a file, compressed or not, or a pipe, as blocks of lines in bounded memory."""

from __future__ import annotations

import gzip
import importlib
import lzma
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

CHUNK: Final = 1 << 20  # bytes read at once
LONGEST: Final = 1 << 16  # bytes of a line; what is longer is cut
WINDOW: Final = 1 << 27  # bytes that unpacking may look back
UNENDING: Final = 1 << 26  # bytes without the end of a line, after which nothing is worth waiting for
MAGIC: Final = {
    b"\x17\x08\x44tracing": "a trace-cmd recording: give the text of `trace-cmd report`",
    b"PERFILE2": "a perf recording: give the text of `perf script`",
    b"\x7fELF": "a program",
    b"PK\x03\x04": "a zip file: unpack it first",
    b"BZh": "compressed with bzip2: give it through a pipe, `bzip2 -dc FILE | kmem-oracle judge -`",
}


class CannotRead(Exception):
    """A source that is no trace; the message says what and where, and what to do."""


class Stream(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return `size` bytes at most, none at the end."""


class Source:
    """The lines of a source.

    `fault` says what ended it early, after lines that were good: a compressed file that was cut off.
    `cut` counts the lines that were too long; `unended` says that the last line has no end.
    """

    def __init__(self, name: str) -> None:
        """Open the file of that name, or standard input for "-".

        Errors   CannotRead
        """
        self.name = "standard input" if name == "-" else name
        self.fault: str | None = None
        self.cut = 0
        self.unended = False
        self._damage: tuple[type[Exception], ...] = (EOFError, OSError, zlib.error, lzma.LZMAError)
        self._handle: BinaryIO | None = None
        try:
            raw = sys.stdin.buffer if name == "-" else Path(name).open("rb")  # noqa: SIM115  # close does it
            self._handle = None if name == "-" else raw
            head = raw.read(16)
        except (OSError, ValueError) as error:
            self.close()
            raise CannotRead(f"{self.name}: cannot be read: {_reason(error)}") from error
        if not head:
            self.close()
            raise CannotRead(f"{self.name}: empty: there is no trace in it")
        for magic, what in MAGIC.items():
            if head.startswith(magic):
                self.close()
                raise CannotRead(f"{self.name}: {what}")
        self._stream = self._unpacked(_Again(head, raw), head)

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            self._handle.close()

    def _unpacked(self, raw: _Again, head: bytes) -> Stream:
        """Return the stream of the text, whatever packs it."""
        if head.startswith(b"\x1f\x8b"):
            plain: Stream = gzip.GzipFile(fileobj=raw)  # type: ignore[call-overload]  # it needs but read
            return plain
        if head.startswith(b"\xfd7zXZ\x00"):
            return _Xz(raw)
        if head.startswith(b"\x28\xb5\x2f\xfd"):
            try:
                zstandard = importlib.import_module("zstandard")
            except ModuleNotFoundError as error:
                self.close()
                raise CannotRead(
                    f"{self.name}: compressed with zstd: `pip install zstandard`, or give it through a pipe, "
                    "`zstd -dc FILE | kmem-oracle judge -`"
                ) from error
            self._damage += (zstandard.ZstdError,)
            unpack = zstandard.ZstdDecompressor(max_window_size=WINDOW)
            reader: Stream = unpack.stream_reader(_Ended(raw), read_across_frames=True)
            return reader
        return raw

    def blocks(self) -> Iterator[list[str]]:
        """Yield the lines in blocks, in their order, without their ends.

        Gives    bytes that are no UTF-8 as backslash escapes; a line of more than LONGEST bytes cut to that
        Errors   CannotRead for bytes that are no text, or no line in UNENDING bytes
        """
        rest = b""
        dropped = 0  # bytes of the line at hand that were cut off
        first = True
        while chunk := self._read():
            if first and b"\x00" in chunk:
                raise CannotRead(
                    f"{self.name}: binary, not text: give an ftrace text, `trace-cmd report`, `perf script`"
                )
            end = chunk.rfind(b"\n")
            if end < 0:
                room = LONGEST - len(rest)
                dropped += max(0, len(chunk) - room)
                rest += chunk[:room]
                if dropped > UNENDING:
                    raise CannotRead(f"{self.name}: no line ends in {dropped >> 20} MiB: this is no trace")
                continue
            first = False
            if dropped:
                begin = chunk.find(b"\n")
                text = rest + chunk[begin : end + 1]
                self.cut += 1
            else:
                text = rest + chunk[: end + 1]
            rest, dropped = chunk[end + 1 :], 0
            yield self._lines(text)
        if rest:
            self.cut += bool(dropped)
            self.unended = True
            yield self._lines(rest + b"\n")

    def _lines(self, text: bytes) -> list[str]:
        """Return the lines of text that ends with the end of one."""
        lines = text.decode("utf-8", "backslashreplace").split("\n")
        lines.pop()
        return lines

    def _read(self) -> bytes:
        """Return the next bytes; damage ends the source, and is told by `fault`."""
        try:
            return self._stream.read(CHUNK)
        except self._damage as error:
            self.fault = _reason(error)
        return b""


class _Again:
    """A stream whose first bytes were looked at."""

    def __init__(self, head: bytes, raw: BinaryIO) -> None:
        self._head = head
        self._raw = raw

    def read(self, size: int = -1, /) -> bytes:
        """Return `size` bytes at most, none at the end."""
        head = self._head if size < 0 else self._head[:size]
        self._head = self._head[len(head) :]
        read1 = getattr(self._raw, "read1", None)  # of a pipe what is there, not what would fill the buffer
        taken: bytes = self._raw.read(size) if read1 is None or size < 0 else read1(size - len(head))
        return head + taken


class _Ended:
    """A zstd stream with a skippable frame behind it, which is damage where another frame is not at its end.

    Without it the library takes a stream that is cut off for one that ends.
    """

    def __init__(self, raw: _Again) -> None:
        self._raw = raw
        self._end = b"\x50\x2a\x4d\x18" + (1 << 18).to_bytes(4, "little") + b"\xff" * (1 << 18)

    def read(self, size: int = -1, /) -> bytes:
        """Return `size` bytes at most, none at the end."""
        if taken := self._raw.read(size):
            return taken
        end = self._end if size < 0 else self._end[:size]
        self._end = self._end[len(end) :]
        return end


class _Xz:
    """What an xz file holds, in bounded memory."""

    def __init__(self, raw: _Again) -> None:
        self._raw = raw
        self._unpack = lzma.LZMADecompressor(memlimit=WINDOW)

    def read(self, size: int, /) -> bytes:
        """Return `size` bytes at most, none at the end."""
        while True:
            if self._unpack.eof:
                left = self._unpack.unused_data or self._raw.read(CHUNK)
                if not left:
                    return b""
                self._unpack = lzma.LZMADecompressor(memlimit=WINDOW)
            elif self._unpack.needs_input:
                left = self._raw.read(CHUNK)
                if not left:
                    raise EOFError("cut off before the end of what it packs")
            else:
                left = b""
            if text := self._unpack.decompress(left, size):
                return text


def _reason(error: Exception) -> str:
    """Return what an error says, in one line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
