"""The names of a script and the ids that they stand for; the objects of an array have consecutive ids.

While a script is unrolled, names get provisional ids in the order in which they come. Only then is it known
how far each array reaches, and the ids are numbered anew.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from kmem_oracle.language.syntax import Line
from kmem_spec.apis import Api

Key = tuple[str, int | None]  # a name and its index; None for a name that stands alone
Stretch = tuple[int, int]  # of an array: first index, and the one behind the last
MOST_INDICES: Final = (1 << 17) - 1  # of an array whose lines come one by one
ARTICLES: Final = {"object": "an object", "cache": "a cache", "pool": "a pool"}


class Names:
    """What the names of one script stand for."""

    def __init__(self) -> None:
        self._ids: dict[Key, int] = {}
        self._alone: dict[str, Line] = {}  # names used without an index, and where first
        self._made: dict[Key, str] = {}  # what was last made under a name
        self._filled: dict[str, set[Stretch]] = {}  # by one call
        self._taken: dict[tuple[str, Stretch], Line] = {}  # by one call, and where first
        self._places: dict[str, int] = {}  # where lines come one by one, the order of the names

    def one(self, key: Key, kind: str, line: Line) -> int:
        """Return the provisional id of what a call takes.

        Errors   ScriptError if the last thing made under that name is of another kind
        """
        made = self._made.get(key, kind)
        if made != kind:
            raise line.error(f"{shown(key)} is {ARTICLES[made]}, not {ARTICLES[kind]}")
        return self._id(key, line)

    def make(self, key: Key, line: Line) -> int:
        """Return the provisional id of what a call makes."""
        self._made[key] = kind_made(line.api)
        return self._id(key, line)

    def fill(self, name: str, start: int, count: int, line: Line) -> int:
        """Return the provisional id of the first of `count` objects that a call makes."""
        if count:
            self._filled.setdefault(name, set()).add((start, start + count))
        return self._id((name, start), line)

    def take(self, name: str, start: int, count: int, line: Line) -> int:
        """Return the provisional id of the first of `count` objects that a call takes together."""
        made = self._made.get((name, start), "object")
        if made != "object":
            raise line.error(f"{shown((name, start))} is {ARTICLES[made]}, not {ARTICLES['object']}")
        if count:
            self._taken.setdefault((name, (start, start + count)), line)
        return self._id((name, start), line)

    def _id(self, key: Key, line: Line) -> int:
        """Return the provisional id of a name."""
        known = self._ids.get(key)
        if known is None:
            known = self._ids[key] = len(self._ids) + 1
            if key[1] is None:
                self._alone[key[0]] = line
        return known

    def labels(self) -> dict[int, str]:
        """Return the name of each provisional id, as it is written."""
        return {known: shown(key) for key, known in self._ids.items()}

    def filled(self) -> list[tuple[str, Stretch]]:
        """Return the stretches of arrays that calls fill."""
        return [(name, span) for name, spans in self._filled.items() for span in spans]

    def numbers(self) -> list[int] | None:
        """Return the id for each provisional id, None if they can stay as they are.

        Errors   ScriptError for an array that is used as one object, or beyond what the script makes of it
        """
        stretches: dict[str, set[Stretch]] = {name: {*spans} for name, spans in self._filled.items()}
        for name, span in self._taken:
            stretches.setdefault(name, set()).add(span)
        if not stretches:
            return None
        for name in stretches:
            if name in self._alone:
                raise self._alone[name].error(
                    f"{name} is an array elsewhere: name one of its objects, as in {name}[0]"
                )
        filled = {name: merged(spans) for name, spans in self._filled.items()}
        for (name, span), line in self._taken.items():
            self._check_made(name, span, filled.get(name, []), line)
        return self._numbered({name: merged(spans) for name, spans in stretches.items()})

    def _check_made(self, name: str, span: Stretch, filled: list[Stretch], line: Line) -> None:
        """Refuse a call that takes more of an array than the script makes, if a call fills any of that."""
        at, missing, some = span[0], None, False
        while at < span[1]:
            within = _stretch(filled, at)
            if within is None and (name, at) not in self._made and missing is None:
                missing = at
            some = some or within is not None
            at = within[1] if within is not None else at + 1
        if some and missing is not None:
            whole = f"{name}[{span[0]}] to {name}[{span[1] - 1}]"
            raise line.error(f"{line.api.name} takes {whole}, but nothing makes {name}[{missing}]")

    def _numbered(self, stretches: dict[str, list[Stretch]]) -> list[int]:
        """Return the ids: stretches of arrays as a whole, in the order in which they are first named."""
        final, following = [0], 1
        bases: dict[tuple[str, int], int] = {}
        for name, index in self._ids:
            within = None if index is None else _stretch(stretches.get(name, []), index)
            if index is None or within is None:
                final.append(following)
                following += 1
                continue
            low, high = within
            if (name, low) not in bases:
                bases[name, low] = following
                following += high - low
            final.append(bases[name, low] + index - low)
        return final


def _stretch(spans: list[Stretch], index: int) -> Stretch | None:
    """Return the stretch that holds an index; `spans` are in order and share none."""
    place = bisect_right(spans, index, key=lambda span: span[0]) - 1
    return spans[place] if place >= 0 and index < spans[place][1] else None


def kind_made(api: Api) -> str:
    """Return what a call makes: a cache, a pool, or an object."""
    return str(api.family) if api.role == "create" else "object"


class LiveNames(Names):
    """Names of lines that come one by one, each to be run before the next is known.

    A name has a stretch of ids of its own: one for when it stands alone, the others for its indices.
    """

    def copy(self) -> LiveNames:
        """Return names that may go another way from here."""
        other = LiveNames()
        other._ids, other._alone, other._made = dict(self._ids), dict(self._alone), dict(self._made)
        other._filled = {name: set(spans) for name, spans in self._filled.items()}
        other._taken, other._places = dict(self._taken), dict(self._places)
        return other

    def fill(self, name: str, start: int, count: int, line: Line) -> int:
        """Do as Names.fill."""
        self._check_array(name, start, count, line)
        return super().fill(name, start, count, line)

    def take(self, name: str, start: int, count: int, line: Line) -> int:
        """Do as Names.take; what the call takes must have been made."""
        self._check_array(name, start, count, line)
        first = super().take(name, start, count, line)
        self._check_made(name, (start, start + count), merged(self._filled.get(name, set())), line)
        return first

    def _check_array(self, name: str, start: int, count: int, line: Line) -> None:
        """Refuse an array whose name stands for one object, or that is too long."""
        if name in self._alone:
            raise line.error(f"{name} is one object: give the array another name")
        if not 0 <= start <= start + count <= MOST_INDICES:
            raise line.error(f"an index is a number from 0 to {MOST_INDICES - 1}")

    def _id(self, key: Key, line: Line) -> int:
        """Return the id of a name."""
        name, index = key
        if index is None and (name in self._filled or any(name == taken for taken, _ in self._taken)):
            raise line.error(f"{name} is an array: name one of its objects, as in {name}[0]")
        if index is not None and not 0 <= index < MOST_INDICES:
            raise line.error(f"an index is a number from 0 to {MOST_INDICES - 1}")
        if index is None:
            self._alone.setdefault(name, line)
        place = self._places.setdefault(name, len(self._places))
        return self._ids.setdefault(key, 1 + place * (MOST_INDICES + 1) + (0 if index is None else index + 1))


def shown(key: Key) -> str:
    """Return a name as it is written."""
    return key[0] if key[1] is None else f"{key[0]}[{key[1]}]"


def merged(spans: set[Stretch]) -> list[Stretch]:
    """Return stretches in order, those that share an index as one."""
    ordered: list[Stretch] = []
    for low, high in sorted(spans):
        if ordered and low < ordered[-1][1]:
            ordered[-1] = (ordered[-1][0], max(high, ordered[-1][1]))
        else:
            ordered.append((low, high))
    return ordered
