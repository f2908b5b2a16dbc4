"""What a target wrote at last, to standard output or error: it often says by itself why it ended."""

from __future__ import annotations

import contextlib
import os
import select
from typing import Final

MOST: Final = 4096  # bytes that are kept
PIECE: Final = 1 << 16  # bytes read at a time, as many as a pipe holds
SHOWN: Final = 160  # characters of the line


def await_end(process: int, stream: int) -> tuple[int, str]:
    """Wait for a child to end; return its status, and the last line that it wrote to a pipe.

    Where the system has no handle of a process that can be waited for together with a pipe, what it wrote
    is left unread.
    """
    if not hasattr(os, "pidfd_open"):
        return os.waitpid(process, 0)[1], ""
    os.set_blocking(stream, False)
    tail = b""
    ended = os.pidfd_open(process)
    try:
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        poll.register(stream, select.POLLIN)
        while True:
            ready = [handle for handle, _ in poll.poll()]
            part = b""
            with contextlib.suppress(BlockingIOError):  # nothing has been written since
                part = os.read(stream, PIECE)
            tail = (tail + part)[-MOST:]
            if ended in ready:
                break
            if not part:
                poll.unregister(stream)  # closed by all that could write
        return os.waitpid(process, 0)[1], last_line(tail)
    finally:
        os.close(ended)


def last_line(written: bytes) -> str:
    """Return the last line with anything in it, as it can be shown in a message."""
    for line in reversed(written.decode("utf-8", "replace").splitlines()):
        text = "".join(letter if letter.isprintable() else "?" for letter in line.strip())
        if text:
            return f"{text[:SHOWN]}…" if len(text) > SHOWN else text
    return ""
