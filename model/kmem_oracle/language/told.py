"""A history in the call language: a script whose comments tell what came of each call.

    a = kmalloc(64, GFP_KERNEL)     # gives 0x100020, usable 64
    check(a)                        # byte 8 has changed
    kfree(a)                        # does not return

One call to a line; `repeat N {` and its `}` stand on lines of their own, without `i` between them.
spec/README.md has the words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from kmem_oracle.language.script import Op, parse
from kmem_oracle.targets.reader import Reader
from kmem_oracle.targets.records import DONE, LOST
from kmem_spec.apis import APIS
from kmem_spec.calls import CONSTRUCTED, DESTRUCTED, Answer, Event, Lost, Note
from kmem_spec.finding import Finding
from kmem_spec.judge import Judge
from kmem_spec.profile import Profile
from kmem_spec.units import NULL, SIZE_MAX, ZERO_SIZE_PTR

WORDS: Final = {"NULL": NULL, "ZERO_SIZE_PTR": ZERO_SIZE_PTR}
GONE: Final = "does not return"
_NUMBER: Final = r"-?\d+|0x[0-9a-f]+|NULL|ZERO_SIZE_PTR"
_PARTS: Final = {
    "gives": re.compile(rf"gives ({_NUMBER})((?::(?: 0x[0-9a-f]+)+)?)"),
    "usable": re.compile(r"usable (\d+)"),
    "nonzero": re.compile(r"byte (\d+) is not zero"),
    "changed": re.compile(r"byte (\d+) has changed"),
    "slept": re.compile(r"(slept|did not sleep)"),
    "ran": re.compile(r"(constructs|destructs) ([\w ]+) for (\w+)"),
}
_REPEAT: Final = re.compile(r"\s*repeat (\d+) \{\s*")
_NAMED: Final = re.compile(r"\s*(\w+) = kmem_cache_create")


class ToldError(ValueError):
    """A history that cannot be read; the message says what is wrong with which line."""


@dataclass(slots=True)
class Outcome:
    """What a comment tells of a call; `items` are the addresses of the objects of a bulk call."""

    result: int = 0
    items: tuple[int, ...] = ()
    usable: int = -1
    nonzero: int = -1
    changed: int = -1
    slept: int = -1
    ran: list[tuple[int, str, int]] = field(default_factory=list)
    gone: bool = False


def events(text: str) -> list[Event | Lost]:
    """Return the events that a history tells of, addresses for names.

    Errors   ToldError; ScriptError for what is no call
    """
    lines = list(_unrolled(text.splitlines()))
    ops = parse("\n".join(line for line, _ in lines))
    if len(ops) != len(lines):
        raise ToldError(f"{len(ops)} calls on {len(lines)} lines: a line is one call")
    return list(_events(ops, [line for line, _ in lines], [told for _, told in lines]))


def _events(ops: list[Op], lines: list[str], told: list[str]) -> Iterator[Event | Lost]:
    """Yield the events, those of the objects of a bulk behind its own."""
    reader = Reader()
    caches: dict[str, int] = {}  # name, and address
    for op, line, comment in zip(ops, lines, told, strict=True):
        said = _outcome(line, comment)
        if said.gone:
            yield reader.lost(op, "crashes")
            continue
        named = _NAMED.match(line)
        if named and said.result:
            caches[named[1]] = said.result
        raw = (said.result & SIZE_MAX, said.usable, said.nonzero, said.changed, DONE, LOST)  # LOST: see below
        event = reader.event(op, raw)
        if event is None:
            raise ToldError(f"{line.strip()}: a call that was skipped")
        call, answer = event
        try:
            notes = tuple(Note(kind, caches[name], at) for kind, name, at in said.ran)
        except KeyError as error:
            raise ToldError(f"{line.strip()}: there is no cache {error.args[0]}") from error
        yield Event(call, Answer(answer.result, *answer[1:4], said.slept, notes))
        for place, start in enumerate(said.items):
            item = Op("item", op.out + place, (place,))
            found = reader.event(item, (start, -1, -1, -1, DONE, 0))
            if found is not None:
                yield Event(*found)


def _outcome(line: str, comment: str) -> Outcome:
    """Return what a comment tells."""
    said = Outcome(gone=comment == GONE)
    role = APIS[line.partition("(")[0].split("=")[-1].strip()].role
    silent = role in ("free", "free bulk", "set", "look", "destroy", "split", "adjust")
    if not silent and not said.gone and not comment.startswith("gives "):
        raise ToldError(f"{line.strip()}: say what it gives")
    for part in () if said.gone or not comment else comment.split(", "):
        for name, pattern in _PARTS.items():
            found = pattern.fullmatch(part)
            if found:
                _take(said, name, found)
                break
        else:
            raise ToldError(f"{line.strip()}: cannot read {part!r}")
    return said


def _take(said: Outcome, name: str, found: re.Match[str]) -> None:
    """Take one part of a comment."""
    if name == "gives":
        said.result = WORDS[found[1]] if found[1] in WORDS else int(found[1], 0)
        said.items = tuple(int(start, 16) for start in found[2][1:].split())
    elif name == "slept":
        said.slept = int(found[1] == "slept")
    elif name == "ran":
        kind = CONSTRUCTED if found[1] == "constructs" else DESTRUCTED
        said.ran.extend((kind, found[3], int(at, 16)) for at in found[2].split())
    else:
        setattr(said, name, int(found[1]))


def _unrolled(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each call and its comment, those of a repeat as often as it says."""
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        repeat = _REPEAT.fullmatch(line)
        if repeat:
            depth, begin = 1, at
            while depth:
                if at == len(lines):
                    raise ToldError(f"{line.strip()}: is never closed")
                depth += 1 if _REPEAT.fullmatch(lines[at]) else -(lines[at].strip() == "}")
                at += 1
            yield from list(_unrolled(lines[begin : at - 1])) * int(repeat[1])
            continue
        call, _, comment = line.partition("#")
        if call.strip():
            yield call.rstrip(), comment.strip()


def judged(
    history: list[Event | Lost], profile: Profile, *, waived: frozenset[str] = frozenset(), ends: bool = False
) -> list[Finding]:
    """Return what a judge says of a history; `ends` says that nothing may be live behind it."""
    judge = Judge(profile, waived=waived)
    found = [judge.lose(each) if isinstance(each, Lost) else judge.admit(each) for each in history]
    return [each for each in found if each is not None] + (judge.leaks() if ends else [])
