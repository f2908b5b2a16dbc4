"""Messages between the judging process and the worker: length first, over plain descriptors.

What the worker reads is marshalled. Nothing of it is buffered, since a worker and the children that it forks
read from the same pipe. A child that is killed may leave any part of a message there: so one for the worker
itself comes after a mark, and whatever stands before that is dropped.

What the worker and its children write may be followed by anything that a target writes to descriptors that
are not its own: so each message comes after a mark, as JSON, and the judging process drops what is none.
"""

from __future__ import annotations

import json
import marshal
import os
import select
import struct
import time
from typing import Final

LENGTH: Final = struct.Struct("<I")
LONGEST: Final = 1 << 24  # bytes of a message of the worker's
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


def report(descriptor: int, *message: str | int) -> None:
    """Write one message of the worker's, for an `Inbox`.

    Errors   BrokenPipeError where nobody reads any more
    """
    data = json.dumps(message).encode("ascii")
    view = memoryview(MARK + LENGTH.pack(len(data)) + data)
    while view:
        view = view[os.write(descriptor, view) :]


class Inbox:
    """The messages of a worker, and what else comes on the same pipe, which is dropped."""

    def __init__(self, descriptor: int) -> None:
        """Read from that pipe."""
        self._descriptor = descriptor
        self._data = b""
        self._message: Message | None = None
        self._ended = False

    def arrives(self, seconds: float) -> bool:
        """Say whether a message, or the end, is there within that time."""
        deadline = time.monotonic() + seconds
        while not self._is_there():
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._descriptor], [], [], left)[0]:
                return False
            self._take()
        return True

    def message(self) -> Message | None:
        """Return the next message, None at the end."""
        while not self._is_there():
            self._take()
        message, self._message = self._message, None
        return message

    def _take(self) -> None:
        """Read what there is, and wait if there is nothing."""
        part = os.read(self._descriptor, 1 << 16)
        self._data += part
        self._ended = not part

    def _is_there(self) -> bool:
        """Say whether a message is there or the end is, and take it from what was read."""
        while self._message is None:
            at = self._data.find(MARK)
            if at < 0:
                self._data = self._data[-len(MARK) :]
                return self._ended
            self._data = self._data[at:]
            begin = len(MARK) + LENGTH.size
            if len(self._data) < begin:
                return self._ended
            length = LENGTH.unpack(self._data[len(MARK) : begin])[0]
            if length <= LONGEST and len(self._data) < begin + length:
                return self._ended
            self._message = _decoded(self._data[begin : begin + length]) if length <= LONGEST else None
            self._data = self._data[begin + length if self._message else len(MARK) :]
        return True


def _decoded(data: bytes) -> Message | None:
    """Return a message, None where it is none."""
    try:
        value: object = json.loads(data)
    except ValueError:
        return None
    if not isinstance(value, list) or not value or not all(isinstance(part, str | int) for part in value):
        return None
    return tuple(value)


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
