"""Messages between the judging process and the worker: marshalled, length first, over plain descriptors.

Nothing is buffered, since a worker and the children that it forks read from the same pipe. A child that is
killed may leave any part of a message there: so one for the worker itself comes after a mark, and whatever
stands before that is dropped.
"""

from __future__ import annotations

import marshal
import os
import struct
from typing import Final

LENGTH: Final = struct.Struct("<I")
MARK: Final = bytes.fromhex("9f3ac15e07d2b8644be091fd2c7a6d18")
Message = tuple[str | int | list[tuple[str, int, tuple[int, ...]]], ...]


def send(descriptor: int, message: Message, *, marked: bool = False) -> None:
    """Write one message, after the mark if it is for `receive_marked`.

    Errors   BrokenPipeError where nobody reads any more
    """
    data = marshal.dumps(message)
    view = memoryview((MARK if marked else b"") + LENGTH.pack(len(data)) + data)
    while view:
        view = view[os.write(descriptor, view) :]


def receive(descriptor: int) -> Message | None:
    """Read one message, or None at the end."""
    head = _exactly(descriptor, LENGTH.size)
    if head is None:
        return None
    data = _exactly(descriptor, LENGTH.unpack(head)[0])
    if data is None:
        return None
    message: Message = marshal.loads(data)
    return message


def receive_marked(descriptor: int) -> Message | None:
    """Drop what stands before the next mark, and read the message after it; None at the end."""
    data = b""
    while part := os.read(descriptor, 1 << 20):
        data += part
        at = data.find(MARK)
        if at < 0:
            data = data[-len(MARK) :]
            continue
        body = data[at + len(MARK) :]
        end = LENGTH.size + LENGTH.unpack(body[: LENGTH.size])[0] if len(body) >= LENGTH.size else 0
        if 0 < end <= len(body):
            message: Message = marshal.loads(body[LENGTH.size : end])
            return message
    return None


def _exactly(descriptor: int, length: int) -> bytes | None:
    """Read that many bytes, None if the end comes first."""
    parts = []
    while length:
        part = os.read(descriptor, length)
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
