"""The last call of a C program: what shows that it breaks its clause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kmem_oracle.language.labels import Labels
from kmem_oracle.language.outline import Row
from kmem_oracle.language.script import Op, items_of
from kmem_oracle.reports.c_calls import STRINGS, Manner, Written, lines_for, shape_of
from kmem_oracle.reports.c_values import number_of
from kmem_spec.apis import APIS, argument
from kmem_spec.calls import Call
from kmem_spec.expect import AREAS, expect
from kmem_spec.kmem_cache import alignment
from kmem_spec.liveness import RETRIES
from kmem_spec.profile import Profile
from kmem_spec.units import PAGE_SIZE, SIZE_MAX, get_order

MAX_ERRNO: Final = 4095
MUST_BE_NULL: Final = frozenset(
    {
        "SLAB-MAX",
        "SLAB-ARRAY",
        "PAGE-ORDER-MAX",
        "KV-MAX",
        "KV-ARRAY",
        "VM-MAX",
        "VM-ARRAY",
        "VM-ZERO-SIZE",
        "VM-REALLOC-FREE",
        "CACHE-MAX",
    }
)
MUST_NOT_BE_NULL: Final = frozenset({"MEM-LIVENESS", "POOL-RESERVE", "POOL-WAITS"})
MUST_BE_ZERO_SIZE: Final = frozenset({"SLAB-ZERO-SIZE", "SLAB-REALLOC-FREE"})
AFTER_ANOTHER: Final = frozenset({"GFP-ATOMIC-REACH", "GFP-USER", "GFP-NOFAIL"})


def last_lines(row: Row, before: Row | None, clause: str, text: str, check: Check) -> list[str]:
    """Return the statements for the last call; `text` is it in a script, `before` the one before."""
    manner = check.manner
    call = Written(row, manner)
    shown = text.replace("\\", "\\\\").replace("%", "%%").replace('"', '\\"')
    wrong = check.wrong(call, clause)
    if wrong and call.api.role in {"allocate", "copy", "resize", "map", "create"}:
        lines = [f"void *got = {call.expression()};", f"if ({wrong})"]
        lines += [f'\tfault("{shown} gave %p", got);']
        return [*call.before(), *_inside(call.condition(), lines)]
    lines = lines_for(row, manner)
    if wrong:
        lines += [f"if ({wrong})", f'\tfault("{shown} gave %zu", number);']
    if clause in {"CACHE-BULK", "PAGE-BULK"}:
        some = "number && number != " if clause == "CACHE-BULK" else "number > "
        lines += [f"if ({some}{call.items})", f'\tfault("{shown} made %zu", number);']
        lines += ["for (size_t place = 0; place < number; place++)"]
        lines += [f"\tif (!({call.made.array()})[place].live)"]
        lines += [f'\t\tfault("{shown}: object %zu of %zu is NULL", place, number);']
    if clause == "GFP-SLEEP":
        lines = ["slept = 0;", *lines, "if (slept)", f'\tfault("{shown} slept");']
    if clause in AFTER_ANOTHER and before is not None and before.op.out > 0 and row.op.out > 0:
        refused = before.labels[0].one()
        lines += [f"if (!{refused}.live && {call.made.one()}.live)"]
        lines += [f'\tfault("{shown} succeeds at once after the request before it was refused");']
    return lines


def _inside(condition: str, lines: list[str]) -> list[str]:
    """Return statements in a block, which runs on a condition if there is one."""
    return [f"if ({condition}) {{" if condition else "{", *(f"\t{line}" for line in lines), "}"]


class Check:
    """What is known of the script when its last call is judged."""

    def __init__(self, ops: Sequence[Op], labels: Labels, profile: Profile, manner: Manner) -> None:
        self._labels = labels
        self._profile = profile
        self._makers = {op.out: op for op in ops if op.out > 0}
        self._round = _last_round(ops)
        self.manner = manner

    def wrong(self, call: Written, clause: str) -> str:
        """Return when a result (`got` or `number`) breaks a clause, as C; "" where other checks show it."""
        op, numeric = call.op, call.api.role == "bulk"
        if clause in MUST_BE_NULL or (clause == "SLAB-COPY" and not call.object):
            return "got"
        if clause in MUST_NOT_BE_NULL:
            if op.out <= 0 and not numeric:
                return ""
            null = "!number" if numeric else "!got"
            if clause != "MEM-LIVENESS":
                return null
            empty = "!opened" if call.api.role == "create" else f"since <= {self._round}"
            return f"{null} && {empty} && served && refused >= {RETRIES - 1}"
        if clause in MUST_BE_ZERO_SIZE:
            return "got != ZERO_SIZE_PTR"
        if clause == "MEM-NULL":
            least = SIZE_MAX - MAX_ERRNO
            return f"got && (got <= ZERO_SIZE_PTR || (uintptr_t)got > {least:#x}ul - {call.size})"
        if "ALIGN" in clause or clause == "PAGE-EXACT":
            return self._misplaced(call, clause)
        if clause in {"MEM-USABLE", "SLAB-CLASS"}:
            return self._too_small(call, clause)
        return self._wrong_number(call, clause)

    def _misplaced(self, call: Written, clause: str) -> str:
        """Return when an address has not its alignment."""
        if call.api.role == "bulk":
            return ""
        asked = expect(Call(call.op.api, call.op.args), self._profile)
        due = {
            "SLAB-ALIGN-POWER": asked.natural,
            "PAGE-ALIGN": asked.natural,
            "SLAB-ALIGN-DIVISOR": asked.divisor,
        }
        if call.op.api in STRINGS and clause in due:
            size = f"(uintptr_t)({call.object}.size)"
            return f"(uintptr_t)got % ({size} & -{size})"
        if clause == "CACHE-ALIGN":
            return f"(uintptr_t)got % {self._alignment_of(call)}"
        return f"(uintptr_t)got % {due.get(clause, asked.minimum)}"

    def _alignment_of(self, call: Written) -> int:
        """Return the alignment in bytes of the objects of a cache, or of a pool over one."""
        maker = self._makers[
            argument(call.api, call.op.args, "cache") or argument(call.api, call.op.args, "pool")
        ]
        if maker.api == "mempool_create_slab_pool":
            maker = self._makers[argument(APIS[maker.api], maker.args, "cache")]
        if maker.api == "mempool_create":
            return self._profile.minimum_align
        _, size, align, flags = maker.args[:4]
        return alignment(size, align, flags, self._profile.cache_line, self._profile.minimum_align)

    def _too_small(self, call: Written, clause: str) -> str:
        """Return when the usable size is not what it should be."""
        if call.api.role == "bulk":
            return f"number && kmem_cache_size({call.home}.handle) < {call.home}.size"
        if call.home:
            return f"got && kmem_cache_size({call.home}.handle) < {call.home}.size"
        if clause == "SLAB-CLASS":
            return f"got && ksize(got) != {expect(Call(call.op.api, call.op.args), self._profile).slot}"
        return f"got && ksize(got) < {call.size}"

    def _wrong_number(self, call: Written, clause: str) -> str:
        """Return when a number is wrong."""
        op = call.op
        asked = expect(Call(op.api, op.args), self._profile)
        if clause == "SLAB-KSIZE":
            of = call.object
            return f"{of}.live && (number < {of}.size || number != {of}.usable)" if of else "number"
        if clause == "SLAB-ROUNDUP":
            exact = f"number != {asked.slot}" if asked.slot else f"number < {number_of(asked.size)}"
            return exact if asked.size else "number"
        if clause == "PAGE-ORDER-OF":
            return f"number != {get_order(asked.size)}"
        if clause == "CACHE-SIZE":
            return f"number < {call.home}.size"
        if clause == "VM-ADDR":
            maker = self._makers.get(op.args[0])
            area = maker is not None and APIS[maker.api].family in AREAS
            return f"{call.object}.live && number != {int(area)}"
        if clause == "VM-FRAME-OWN" and op.api == "vmalloc_to_page" and op.args[0] in self.manner.maps:
            first = argument(APIS["vmap"], self._makers[op.args[0]].args, "vector")
            given = self._labels.of(first + op.args[1] // PAGE_SIZE).one()
            return f"{call.object}.live && number != (uintptr_t){given}.at"
        return ""


def _last_round(ops: Sequence[Op]) -> int:
    """Return the length of the round that ends the script, in calls; those on arrays count for each object.

    What once ran from empty was refused round after round: on another target, the last call may come when
    more is live than there was, and may fail.
    """
    shapes = [shape_of(op) for op in reversed(ops)]
    length = next(
        (
            length
            for length in range(1, (len(ops) - 1) // (RETRIES - 1) + 1)
            if shapes[: length * (RETRIES - 2) + 1] == shapes[length : length * (RETRIES - 1) + 1]
        ),
        len(ops),
    )
    return sum(1 + items_of(APIS[op.api], op.args) for op in ops[-length:])
