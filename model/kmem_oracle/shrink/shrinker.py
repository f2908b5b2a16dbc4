"""From a violation to a minimal script that shows it: fewer calls first, then plainer arguments.

Any part of a script is a script, so every candidate is simply played. A candidate counts if it breaks the
same clause; calls after that, and calls that were skipped, go at once. Long scripts lose what repeats in
them as a whole, round by round; only short ones are taken apart call by call.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Set
from dataclasses import replace
from typing import Final

from kmem_oracle.campaign.play import Play
from kmem_oracle.language.render import lines_of
from kmem_oracle.language.rounds import made_by, parts_of
from kmem_oracle.language.script import ID_PLACES, Op
from kmem_oracle.language.syntax import HANDLES
from kmem_oracle.shrink.fewer_calls import fewer_objects, fewest
from kmem_oracle.shrink.fewer_rounds import fewer_rounds
from kmem_oracle.shrink.lifecycles import repeated_lives
from kmem_oracle.shrink.plainer import SHAPED, plainer_calls, with_plainer
from kmem_oracle.shrink.polish import shorter
from kmem_oracle.shrink.templates import CYCLES, REPEATABLE, ids_in, repeated, with_births
from kmem_oracle.shrink.trials import Test, Trials
from kmem_spec.apis import APIS
from kmem_spec.expect import size_asked
from kmem_spec.gfp import GFP_KERNEL, ZERO
from kmem_spec.units import SIZE_MAX

FEW: Final = 12  # calls below which a script needs no template
APART: Final = 60  # calls up to which a regular script is taken apart call by call
MOST_PARTS: Final = 60  # parts of a script that counts as regular
COARSE: Final = 32  # parts into which the objects of a long script are cut
LARGE: Final = 30_000  # calls of a script of few lines that is not worth its time any further
LONG: Final = 15  # lines above which a template of MANY rounds is worth trying
MANY: Final = 300
ENOUGH: Final = 3  # lines of a script that need not become fewer
LAST: Final = 0.3  # of the time is for the lines, at least
LOOKS: Final = frozenset({"locate", "measure", "describe", "look", "compute"})  # roles that change nothing


class Shrinker:
    """Reduce one failing script; `test` plays a candidate."""

    def __init__(self, failing: Play, test: Test, seconds: float) -> None:
        """Needs    failing.finding is not None"""
        self._end = time.monotonic() + seconds
        self._trials = Trials(failing, test, self._end - LAST * seconds)

    @property
    def best(self) -> Play:
        """Return the shortest script so far, with its finding."""
        return self._trials.best

    def run(self) -> Play:
        """Return the shortest script found in the time given, with its finding."""
        self._fewer()
        self._trials.deadline = self._end
        if self.best.script or self._trials.late():
            return self.best
        if len(lines_of(self.best.ops)) > LONG and self._templates(MANY):
            self._plainer_arguments()
        self._fewer_lines()
        return self.best

    def _fewer(self) -> None:
        """Remove calls, then make those that are left plainer."""
        self._without({"destroy", "set"})
        self._without(LOOKS)
        self._relevant()
        if self._trials.late():
            return
        fits = False
        if len(self.best.ops) > FEW:
            fits = self._lives()
            if self.best.script:
                return
        if len(self.best.ops) > FEW and not fits:
            self._uniform()
            fewer_objects(self._trials, COARSE)
            fits = self._templates()
            if not fits and self._is_regular():
                fewer_rounds(self._trials)
        if len(self.best.ops) <= APART or not self._is_regular():
            fewest(self._trials)
        if len(self.best.ops) > FEW and not fits:
            self._templates()
            fewer_rounds(self._trials)
        self._plainer_arguments()
        if len(self.best.ops) <= FEW:
            fewest(self._trials)

    def _lives(self) -> bool:
        """Try scripts that make and end what this one makes, over and over, where what is wrong is a loss."""
        if self._trials.clause != "MEM-LIVENESS":
            return False
        for script in repeated_lives(self.best.ops):
            if self._trials.late():
                return False
            if not self._trials.fails(script):
                continue
            if len(script) > LARGE:
                self._trials.best = replace(self.best, script=tuple(script))
            else:
                fewer_rounds(self._trials)
            return True
        return False

    def _fewer_lines(self) -> None:
        """Make the text shorter, where it is long; what is shown may then hold calls that are skipped."""
        if self._trials.late() or len(lines_of(self.best.ops)) <= ENOUGH:
            return
        script = shorter(self.best.ops, self._trials.fails, self._trials.late)
        if script != self.best.ops:
            self._trials.best = replace(self.best, script=script)

    def _is_regular(self) -> bool:
        """Say whether the script consists of few parts, counting what repeats as one."""
        return len(parts_of(self.best.ops)) <= MOST_PARTS

    def _without(self, roles: Set[str]) -> None:
        """Try to do without the calls of these roles, of all or of one, but for the last call."""
        for gone in (roles, *({role} for role in sorted(roles))):
            *past, last = self.best.ops
            fewer = [op for op in past if APIS[op.api].role not in gone]
            if len(fewer) < len(past) and self._trials.fails([*fewer, last]):
                return

    def _relevant(self) -> None:
        """Try the calls on the objects involved alone, then with ever more of what went before.

        Caches and pools that these objects are of come with them, other calls on those only then.
        """
        ops = self.best.ops
        chosen = self._involved()
        handles = {item for op in ops for item in _handles_in(op)}
        for wanted in (chosen - handles, chosen):
            kept = [not wanted.isdisjoint(ids_in(op)) for op in ops]
            if wanted and self._trials.fails(with_births(ops, [*kept[:-1], True])):
                return
        window = 8
        while window < len(ops) // 2 and not self._trials.late():
            late = [index >= len(ops) - window for index in range(len(ops))]
            if self._trials.fails(ops[-window:]) or self._trials.fails(with_births(ops, late)):
                return
            window *= 4

    def _involved(self) -> set[int]:
        """Return the ids in the last call and in those that made or freed what it collides with."""
        ops = self.best.ops
        return {item for index in (*self.best.others, len(ops) - 1) for item in ids_in(ops[index])} - {0, -1}

    def _uniform(self) -> None:
        """Try every object of the kmalloc family made by a plain kmalloc, then every mask plain."""
        self._trials.fails([_plain(op, GFP_KERNEL) for op in self.best.ops])
        if any(op.api != "kmalloc" and APIS[op.api].role == "allocate" for op in self.best.ops):
            self._trials.fails([_plain(op, GFP_KERNEL | ZERO) for op in self.best.ops])
        masks = [_with_mask(op) for op in self.best.ops]
        if masks != list(self.best.ops):
            self._trials.fails(masks)

    def _templates(self, most: int = 0) -> bool:
        """Try scripts that only repeat: a call made and undone, many made, many made and undone.

        Of fewer calls than now, or up to `most` rounds: long, and yet of few lines.
        """
        for shape in self._shapes():
            ops = self.best.ops
            last = max(index for index, op in enumerate(ops) if op is shape)
            before = with_births(ops, [index == last for index in range(len(ops))])[:-1]
            for count in CYCLES:
                if 2 * count >= max(len(self.best.ops), 2 * most + 1) or self._trials.late():
                    break
                if any(self._trials.fails(ops) for ops in repeated(shape, count, before)):
                    fewer_rounds(self._trials)
                    return True
        return False

    def _shapes(self) -> Iterator[Op]:
        """Yield the calls that make objects, each shape once: of objects involved first, then frequent."""
        counts: dict[tuple[object, ...], int] = {}
        makers: dict[tuple[object, ...], Op] = {}
        for op in self.best.ops:
            if APIS[op.api].role in REPEATABLE:
                counts[op.api, op.args] = counts.get((op.api, op.args), 0) + 1
                makers[op.api, op.args] = op
        involved = self._involved()
        first = [
            (op.api, op.args)
            for op in reversed(self.best.ops)
            if APIS[op.api].role in REPEATABLE and not involved.isdisjoint(made_by(op))
        ][:4]
        ranked = sorted(counts, key=lambda shape: -counts[shape])[:2]
        for shape in dict.fromkeys([*first, *ranked]):
            yield makers[shape]

    def _plainer_arguments(self) -> None:
        """Try smaller sizes and plainer masks: of all calls of a shape at once, the last ones first."""
        shapes = dict.fromkeys(
            (op.api, op.args) for op in reversed(self.best.ops) if APIS[op.api].role in SHAPED
        )
        for api, args in list(shapes)[:20]:
            shape: Op | None = Op(api, 0, args)
            while shape is not None and not self._trials.late():
                shape = self._plainer_shape(shape)

    def _plainer_shape(self, shape: Op) -> Op | None:
        """Make the calls of one shape plainer by a step; return what they are now, None if no step goes."""
        for plainer in plainer_calls(shape):
            for drop in (False, True):
                if self._trials.fails(with_plainer(self.best.ops, shape, plainer, drop=drop)):
                    return plainer
        return None


def _with_mask(op: Op) -> Op:
    """Return a call with a plain mask."""
    kinds = APIS[op.api].parameters
    if "gfp" not in kinds:
        return op
    at = kinds.index("gfp")
    return op._replace(args=(*op.args[:at], GFP_KERNEL | (op.args[at] & ZERO), *op.args[at + 1 :]))


def _handles_in(op: Op) -> set[int]:
    """Return the ids of caches and pools in a call."""
    api = APIS[op.api]
    taken = {op.args[at] for at in ID_PLACES[op.api] if api.parameters[at] in HANDLES}
    return taken | {op.out} if api.role == "create" else taken


def _plain(op: Op, gfp: int) -> Op:
    """Return a kmalloc of as many bytes as the call asks for, if it is one of that family."""
    api = APIS[op.api]
    if api.role != "allocate" or api.family != "kmalloc":
        return op
    size = size_asked(api, op.args)
    return op if size > SIZE_MAX else Op("kmalloc", op.out, (size, gfp))
