"""Messages between the judging process and the worker: marshalled, length first, over plain descriptors.

Nothing is buffered, since a worker and the children that it forks read from the same pipe.
"""

from __future__ import annotations

import marshal
import os
import struct
from typing import Final

LENGTH: Final = struct.Struct("<I")
Message = tuple[str | int | list[str] | list[tuple[str, int, tuple[int, ...]]], ...]


def send(descriptor: int, message: Message) -> None:
    """Write one message.

    Errors   BrokenPipeError where nobody reads any more
    """
    data = marshal.dumps(message)
    view = memoryview(LENGTH.pack(len(data)) + data)
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
