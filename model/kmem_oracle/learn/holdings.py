"""What a script holds: which of its names stand for something that lives, and how the others ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from kmem_oracle.language.names import kind_made
from kmem_oracle.language.rounds import taken_by
from kmem_oracle.language.script import ID_PLACES, Op, Step
from kmem_oracle.language.syntax import HANDLES
from kmem_oracle.learn.session import Turn
from kmem_spec.apis import APIS, argument
from kmem_spec.units import MAX_ORDER, PAGE_SIZE

ENDS: Final = frozenset({"free", "free bulk", "destroy", "split"})
State = Literal["live", "ended", "failed"]


class Thing(NamedTuple):
    """Something that a call made, or tried to make.

    kind      object, cache or pool
    address   0 where nobody knows it
    line      number of the line that made it, or that ended it
    text      the call that made it
    home      id of the cache or pool that an object is from, 0 for none
    """

    kind: str
    state: State
    address: int
    line: int
    text: str
    home: int = 0


class Holdings:
    """What each id of a script stands for."""

    def __init__(self, labels: dict[int, str]) -> None:
        """Hold nothing; `labels` are the names of the ids."""
        self.labels = labels
        self._things: dict[int, Thing] = {}

    def live(self, kind: str = "") -> dict[str, Thing]:
        """Return what lives, of one kind or of all, by name."""
        return {
            self.label(item): thing
            for item, thing in self._things.items()
            if thing.state == "live" and kind in ("", thing.kind)
        }

    def label(self, item: int) -> str:
        """Return the name of an id."""
        return self.labels.get(item, f"object {item}")

    def note(self, step: Step, turn: Turn) -> None:
        """Note what came of a call."""
        op, answer = turn.op, turn.answer
        if answer is None or turn.lost:
            return
        api, line = APIS[op.api], step.line
        made = list(self._made(op, turn))
        for item in _ended(op, answer.result):
            self._end(item, line.line)
        for item, address in made:
            known = self._things.get(item)
            if address == 0 and known is not None and known.state == "live":
                continue  # what failed leaves the name to what had it before
            home = next((op.args[at] for at, kind in enumerate(api.parameters) if kind in HANDLES), 0)
            state: State = "live" if address else "failed"
            self._things[item] = Thing(kind_made(api), state, address, line.line, line.text, home)

    def why_not(self, op: Op) -> str:
        """Say why a call was skipped: what it takes that does not live."""
        for item in (item for taken in taken_by(op) for item in taken):
            thing, name = self._things.get(item), self.label(item)
            if thing is None:
                return f"skipped: nothing has made {name}"
            if thing.state == "failed":
                return f"skipped: {name} is NULL since line {thing.line}"
            if thing.state == "ended":
                return (
                    f"skipped: {name} ended in line {thing.line}; to use it again breaks {_after(op, thing)}"
                )
        return "skipped"

    def _end(self, item: int, line: int) -> None:
        """Note that something ended, and with a cache or a pool what is from it."""
        thing = self._things.get(item)
        if thing is None or thing.state != "live":
            return
        self._things[item] = thing._replace(state="ended", line=line)
        if thing.kind in HANDLES:
            for other, each in self._things.items():
                if each.home == item and each.state == "live":
                    self._things[other] = each._replace(state="ended", line=line)

    def _made(self, op: Op, turn: Turn) -> Iterator[tuple[int, int]]:
        """Yield the ids that a call makes, each with its address, 0 where it failed."""
        assert turn.answer is not None
        api = APIS[op.api]
        if api.role == "bulk":
            yield from ((op.out + place, address) for place, address in enumerate(turn.items))
        elif api.role == "split":
            block = self._things.get(op.args[0])
            start = 0 if block is None else block.address
            pieces = range(1 << min(op.args[1], MAX_ORDER)) if start else ()
            yield from ((op.out + piece, start + piece * PAGE_SIZE) for piece in pieces)
        elif api.makes:
            yield op.out, turn.answer.result


def _ended(op: Op, result: int) -> Iterator[int]:
    """Yield the ids that a call ended, which was made and gave `result`."""
    api = APIS[op.api]
    kinds = api.parameters
    if api.role == "resize":
        to_nothing = argument(api, op.args, "size") == 0 and api.family != "kmalloc"
        if result or to_nothing:
            yield op.args[0]
    elif api.role in ENDS:
        for at in ID_PLACES[op.api]:
            if kinds[at] == "vector":
                yield from range(op.args[at], op.args[at] + argument(api, op.args, "count"))
            elif kinds[at] not in HANDLES or api.role == "destroy":
                yield op.args[at]


def _after(op: Op, thing: Thing) -> str:
    """Return the clause that a caller breaks who goes on with something that has ended."""
    if thing.kind in HANDLES:
        return "CALLER-HANDLE"
    return "CALLER-DOUBLE-FREE" if APIS[op.api].role in ("free", "free bulk") else "CALLER-FREE"
