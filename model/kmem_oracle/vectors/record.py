"""What comes of a script on the model, in this process: the events of one legal run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kmem_model.kernel import Kernel
from kmem_model.memory import PAGE_OFFSET
from kmem_oracle.campaign.play import DRIVERS, runnable
from kmem_oracle.language.script import Op
from kmem_oracle.targets.driver import Driver
from kmem_oracle.targets.model import ModelMemory, Sleeper
from kmem_oracle.targets.opened import LARGEST
from kmem_oracle.targets.reader import Reader
from kmem_oracle.targets.records import CHUNK, COUNT, HEADER, NOTE, NOTES_AT, PART, RECORD
from kmem_spec.calls import Answer, Event

MEMORY: Final = 32 << 20


class Recorder:
    """Runs scripts, each on a fresh model."""

    def __init__(self) -> None:
        """Take the memory for records once."""
        self._records = memoryview(bytearray(HEADER.size + PART))

    def run(self, ops: Sequence[Op]) -> list[Event]:
        """Return the events of a script; calls that were skipped are left out."""
        kernel = Kernel(MEMORY)
        sleeper = Sleeper(kernel)
        functions = {name: sleeper.lenient(call) for name, call in kernel.api.items()}
        driver = Driver(functions, ModelMemory(kernel.view, MEMORY), self._records, LARGEST, watched=True)
        sleeper.watch(driver.notes.asleep)
        reader = Reader()
        events: list[Event] = []
        every = list(runnable(ops, {*functions, *DRIVERS}))
        for begin in range(0, len(every), CHUNK):
            chunk = every[begin : begin + CHUNK]
            driver.run(chunk, HEADER.size)
            at = HEADER.size + NOTES_AT
            count = COUNT.unpack_from(self._records, at)[0]
            at += COUNT.size
            reader.begin(list(NOTE.iter_unpack(self._records[at : at + count * NOTE.size])) if count else [])
            records = RECORD.iter_unpack(self._records[HEADER.size : HEADER.size + len(chunk) * RECORD.size])
            found = (reader.event(op, record) for op, record in zip(chunk, records, strict=True))
            events += [Event(*each) for each in found if each is not None]
        return events


def lowered(events: Sequence[Event]) -> list[Event]:
    """Return the events with the direct map moved down to 64 KiB, as where memory begins there."""
    return [
        Event(
            each.call._replace(args=tuple(map(_low, each.call.args))),
            Answer(
                _low(each.answer.result),
                *each.answer[1:5],
                tuple(
                    note._replace(address=_low(note.address), cache=_low(note.cache))
                    for note in each.answer.notes
                ),
            ),
        )
        for each in events
    ]


def _low(value: int) -> int:
    """Return an address of the direct map where it lies on the toy; any other number as it is."""
    return value - PAGE_OFFSET + 0x10000 if PAGE_OFFSET <= value < PAGE_OFFSET + (1 << 40) else value
