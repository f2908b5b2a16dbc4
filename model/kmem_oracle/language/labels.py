"""Names for ids: `a` for one object, `a[7]` for one of many that a `repeat` made, `p + 4` for an array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from kmem_oracle.language.names import Stretch, kind_made, merged
from kmem_oracle.language.rounds import Round, arrays_in, ids_of, made_by, reach_of, taken_by
from kmem_oracle.language.script import ID_NULL, ID_ZERO_SIZE, Op
from kmem_oracle.language.syntax import HANDLES
from kmem_spec.apis import APIS

LETTERS: Final = "abcdefghjklmnopqrstuvwxyz"  # of objects; `i` counts rounds
ALONE: Final = -1  # the place of what has a name of its own
_MAKES_NEW: Final = frozenset({"allocate", "copy", "map", "create", "bulk", "split"})
_ENDS: Final = frozenset({"free", "destroy", "free bulk"})


class Label(NamedTuple):
    """A name and, as text, a place in its array; "" for a name that stands alone."""

    name: str
    place: str = ""

    def one(self) -> str:
        """Return the label of one object."""
        return f"{self.name}[{self.place}]" if self.place else self.name

    def array(self) -> str:
        """Return the label of an array that begins here."""
        return self.name if self.place in {"", "0"} else f"{self.name} + {self.place}"

    def pages(self) -> str:
        """Return the label of an array that begins here, where a call gives it its name."""
        return self.name if self.place == "0" else self.one()


@dataclass(slots=True)
class _Use:
    """The calls that use an id: first, last, how many free it, the first that destroys it."""

    first: int
    last: int
    frees: int = 0
    destroyed: int | None = None


class Labels:
    """The names of the ids of one script."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self._ops = ops
        self._known: dict[int, tuple[str, int]] = {}
        self._counts: dict[str, int] = {}
        self._kinds: dict[int, str] = {}
        self._uses: dict[int, _Use] = {}
        arrays: set[Stretch] = set()
        for at, op in enumerate(ops):
            arrays.update(arrays_in(op))
            self._note_kinds(op)
            role = APIS[op.api].role
            for item in (item for reach in reach_of(op) for item in reach):
                use = self._uses.setdefault(item, _Use(at, at))
                use.last = at
                use.frees += role in _ENDS and self._kinds.get(item) is None
                if role == "destroy" and use.destroyed is None:
                    use.destroyed = at
        self._stretches = {item: span for span in merged(arrays) for item in range(*span)}

    def _note_kinds(self, op: Op) -> None:
        """Note which ids are those of caches and pools."""
        api = APIS[op.api]
        if kind_made(api) in HANDLES:
            self._kinds[op.out] = kind_made(api)
        for kind, value in zip(api.parameters, op.args, strict=True):
            if kind in HANDLES:
                self._kinds[value] = kind

    def of(self, item: int) -> Label:
        """Return the label of one id."""
        if item <= 0:
            return Label({ID_NULL: "NULL", ID_ZERO_SIZE: "ZERO_SIZE_PTR"}[item])
        if item not in self._known:
            self._know([item], self._fresh(item), 0 if item in self._stretches else ALONE)
        name, index = self._known[item]
        return Label(name, "" if index == ALONE else str(index))

    def extents(self) -> dict[str, int]:
        """Return the names given so far, and for how many objects each; 0 for one that stands alone."""
        room: dict[str, int] = {}
        for name, place in self._known.values():
            room[name] = max(room.get(name, 0), place + 1)
        return room

    def over_rounds(self, part: Round) -> list[list[Label]] | None:
        """Return the labels in each call of a round, with `i` in them; None if none can say it."""
        labelled: list[list[Label]] = []
        for offset in range(part.length):
            rounds = [ids_of(self._ops[part.start + offset + k * part.length]) for k in range(part.count)]
            row = []
            for column in zip(*rounds, strict=True):
                label = self._over(column, part)
                if label is None:
                    return None
                row.append(label)
            labelled.append(row)
        return labelled

    def _over(self, column: tuple[int, ...], part: Round) -> Label | None:
        """Return one label for the ids that a place in the round takes, round by round."""
        if column[0] <= 0 or column[0] == column[1]:
            return self.of(column[0])
        if not any(item in self._known for item in column):
            if not self._name_column(column, part):
                return None
        elif not self._go_on(column):
            return None
        places = [self._known[item] for item in column]
        name, base = places[0]
        step = places[1][1] - base
        if places != [(name, base + k * step) for k in range(part.count)] or (base < 0 and step):
            return None
        if not step:
            return Label(name, "" if base == ALONE else str(base))
        times = "i" if abs(step) == 1 else f"{abs(step)} * i"
        return Label(name, times if base == 0 and step > 0 else f"{base} {'+' if step > 0 else '-'} {times}")

    def _name_column(self, column: tuple[int, ...], part: Round) -> bool:
        """Name what comes at a place round by round: alike if none outlives its round, else by number."""
        spans = [self._stretches.get(item, (item, item + 1)) for item in column]
        if len(set(spans)) == 1:
            self._know([column[0]], self._fresh(column[0]), 0)
            return True
        width = spans[0][1] - spans[0][0]
        alike = {(item - low, high - low) for item, (low, high) in zip(column, spans, strict=True)}
        if len(alike) > 1 or len(set(spans)) < len(column):
            return False
        name = self._fresh(column[0])
        starts = range(part.start, part.end, part.length)
        if all(self._is_local(span, start, part.length) for span, start in zip(spans, starts, strict=True)):
            base, step = (0 if column[0] in self._stretches else ALONE), 0
        else:
            base, step = 0, width
        for k, item in enumerate(column):
            self._know([item], name, base + k * step)
        return True

    def _go_on(self, column: tuple[int, ...]) -> bool:
        """Name what is still without a name in a column as the further objects of the same name."""
        fresh = [item for item in column if item not in self._known]
        if not fresh:
            return True
        first = next(k for k, item in enumerate(column) if item in self._known)
        name, place = self._known[column[first]]
        step = column[1] - column[0]
        places = {item: place + (k - first) * step for k, item in enumerate(column)}
        taken = {at for known, at in self._known.values() if known == name}
        if place == ALONE or any(
            item in self._stretches or places[item] < 0 or places[item] in taken for item in fresh
        ):
            return False
        for item in fresh:
            self._know([item], name, places[item])
        return True

    def _know(self, items: list[int], name: str, base: int) -> None:
        """Name an id, and with it the array that it is of; `base` is the place of the array's first."""
        for item in items:
            low, high = self._stretches.get(item, (item, item + 1))
            for at in range(low, high):
                self._known[at] = (name, base + at - low)

    def _is_local(self, span: Stretch, start: int, length: int) -> bool:
        """Say whether ids are made first and freed last in their round, and so may share their names.

        Whatever calls fail, none of them may live on under its name when the next round begins.
        """
        if span[0] not in self._uses:  # an array of none
            return False
        made = self._ops[self._uses[span[0]].first]
        if made_by(made) != range(*span) or APIS[made.api].role not in _MAKES_NEW:
            return False
        return all(
            start <= use.first and use.last < start + length and self._is_over(use, made)
            for use in (self._uses[item] for item in range(*span))
        )

    def _is_over(self, use: _Use, made: Op) -> bool:
        """Say whether an id's last call surely frees what `made` made, or is that call itself."""
        if use.first == use.last:
            return True
        freed = self._ops[use.last]
        role = APIS[freed.api].role
        if role not in _ENDS:
            return False
        if role == "free bulk" and (use.frees > 1 or made.api != "kmem_cache_alloc_bulk"):
            return False  # it is skipped where one of its objects does not live
        handles = {
            value
            for kind, value in zip(APIS[freed.api].parameters, freed.args, strict=True)
            if kind in HANDLES and role != "destroy"
        }
        if not handles <= {item for taken in taken_by(made) for item in taken}:
            return False
        ends = [self._uses[handle].destroyed for handle in handles]
        return all(end is None or end > use.last for end in ends)

    def _fresh(self, item: int) -> str:
        """Return a name not yet used: by its kind for a cache or a pool, a letter for an object."""
        kind = self._kinds.get(item, "")
        count = self._counts.get(kind, 0)
        self._counts[kind] = count + 1
        if kind:
            return f"{kind}{count}" if count else kind
        turn, letter = divmod(count, len(LETTERS))
        return LETTERS[letter] + (str(turn) if turn else "")
