"""What the driver writes down of each call, and where: the memory that the target's process shares with ours.

After HEADER come AHEAD parts, one for each chunk that may be on its way. A part holds the records of its
chunk, then how many notes there are, then the notes, in the order in which they were made; at its end there
is room for the calls of the chunk, packed, and for times where threads run a part each.
"""

from __future__ import annotations

import struct
from typing import Final

HEADER: Final = struct.Struct("<QQQ")  # call in hand, what is done with it, where its chunk's records go
RECORD: Final = struct.Struct("<QqqqII")  # result, usable, nonzero, changed, status, what ran
NOTE: Final = struct.Struct("<QQQ")  # kind, id of the cache, address
COUNT: Final = struct.Struct("<Q")
CHUNK: Final = 2048  # calls to a chunk
AHEAD: Final = 3  # chunks that may be on their way, so that the target never waits for the judge
NOTES: Final = 1 << 16  # notes to a chunk; those beyond are lost, and the record says so
NOTES_AT: Final = CHUNK * RECORD.size  # where in a part its notes begin
OPS_AT: Final = NOTES_AT + COUNT.size + NOTES * NOTE.size  # and the calls themselves, for a driver in C
MOST_ARGUMENTS: Final = 8
TIMES: Final = struct.Struct("<QQ")  # when a thread's call began and ended, in ns
TIMES_AT: Final = OPS_AT + CHUNK * (2 + MOST_ARGUMENTS) * COUNT.size
LANE_AT: Final = TIMES_AT + CHUNK * TIMES.size  # a HEADER of the thread that runs the part
GUARD_AT: Final = LANE_AT + HEADER.size
GUARD: Final = bytes.fromhex("6b6d656d9ec1e3a5")  # behind a part: what a target must not write over
PART: Final = GUARD_AT + len(GUARD)
DONE, SKIPPED, SPOILT = 0, 1, 2  # SPOILT: object `result` had changed before the call, which was not made
CALLING, TOUCHING = 0, 1
Seen = tuple[int, int, int, int, int]  # the fields of a record that one call decides
Record = tuple[int, int, int, int, int, int]
RawNote = tuple[int, int, int]
NULL_SEEN: Final[Seen] = (0, -1, -1, -1, DONE)
SKIP_SEEN: Final[Seen] = (0, -1, -1, -1, SKIPPED)

# The last word of a record: two bits for sleep, one for notes that were lost, the number of notes.
WATCHED: Final = 1  # the target tells when it sleeps
ASLEEP: Final = 2
LOST: Final = 4
ONE_NOTE: Final = 8


class Notes:
    """The driver's side of the notes: what runs during a call, besides the call.

    ran    the last word of the record of the call in hand, alone in a list that the driver reads
    quiet  what that word is when nothing ran
    """

    def __init__(self, memory: memoryview, *, watched: bool) -> None:
        """Write into the parts of `memory`; `watched` says that the target tells when it sleeps."""
        self._memory = memory
        self._at = 0
        self._count = 0
        self.quiet = WATCHED if watched else 0
        self.ran = [self.quiet]

    def begin(self, base: int) -> None:
        """Begin a chunk, whose part starts at byte `base`."""
        self._at = base + NOTES_AT
        self._count = 0
        COUNT.pack_into(self._memory, self._at, 0)

    def asleep(self) -> None:
        """Note that the call in hand slept."""
        self.ran[0] |= self.quiet << 1

    def add(self, kind: int, cache: int, address: int) -> None:
        """Note that a function of the cache with that id ran at an address."""
        if self._count == NOTES:
            self.ran[0] = self.ran[0] & (LOST - 1) | LOST
            return
        NOTE.pack_into(self._memory, self._at + COUNT.size + self._count * NOTE.size, kind, cache, address)
        self._count += 1
        COUNT.pack_into(self._memory, self._at, self._count)
        self.ran[0] += ONE_NOTE
