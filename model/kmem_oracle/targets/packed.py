"""Calls packed into words of 64 bits, for a driver in C.

Each begins with its code and, in the upper half of the word, the number of its arguments; then the id of what
it makes, then the arguments.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from kmem_oracle.language.script import Op
from kmem_spec.apis import APIS
from kmem_spec.units import SIZE_MAX

_WORDS: Final = tuple(struct.Struct(f"<{2 + count}Q").pack for count in range(9))


class Packer:
    """Pack calls for a driver that knows them by these names, each by its place."""

    def __init__(self, names: Sequence[str]) -> None:
        """Work out how each call begins."""
        self._heads = {
            name: (_WORDS[len(APIS[name].parameters)], code | len(APIS[name].parameters) << 32)
            for code, name in enumerate(names)
            if name in APIS
        }

    def pack(self, ops: Sequence[Op]) -> bytes:
        """Return the words of calls."""
        heads, parts = self._heads, []
        for api, out, args in ops:
            words, head = heads[api]
            try:
                parts.append(words(head, out, *args))
            except struct.error:  # an id below 0
                parts.append(words(head, out, *(value & SIZE_MAX for value in args)))
        return b"".join(parts)
