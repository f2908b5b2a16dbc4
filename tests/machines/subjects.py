"""What a machine can drive: the model, seen from within, or a library in a process of its own.

Both take the calls of the call language and write the same records; only the model refuses what no caller
may do, so only there are such calls made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol
from unittest import mock

from tests.machines import inside

from kmem_model import page
from kmem_model.kernel import Kernel
from kmem_oracle.language.script import Op
from kmem_oracle.targets.driver import Driver
from kmem_oracle.targets.model import ModelMemory, Sleeper
from kmem_oracle.targets.opened import LARGEST, Function
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.records import COUNT, HEADER, NOTE, NOTES_AT, PART, RECORD, RawNote, Record
from kmem_oracle.targets.run import Run
from kmem_oracle.targets.target import Target
from kmem_spec.apis import APIS
from kmem_spec.calls import Call
from kmem_spec.table import Refused
from kmem_spec.units import PAGE_SIZE

MIB: Final = 1 << 20
DMA_BYTES: Final = 2 * MIB  # a machine so small has small zones: DMA to here,
DMA32_BYTES: Final = 4 * MIB  # DMA32 to here, NORMAL above, with room for the largest block
MEMORY_BYTES: Final = 9 * MIB
Seen = tuple[list[Record], list[RawNote], str]


class Subject(Protocol):
    """What is driven.

    name      for the table of what was seen
    apis      the calls that it has
    refuses   whether it refuses what no caller may do
    """

    name: str
    apis: frozenset[str]
    refuses: bool

    def run(self, ops: Sequence[Op]) -> Seen:
        """Make calls; return their records, what ran meanwhile, and how the subject died if it did."""

    def refusal(self) -> str:
        """Return the clause under which a call was refused since this was last asked, or nothing."""

    def mistake(self, call: Call) -> str:
        """Make a call that is refused, see that it changes nothing, and return the clause."""

    def broken(self) -> tuple[list[str], set[str]]:
        """Return the clauses that its state breaks, and those that were judged."""

    def held(self) -> set[int] | None:
        """Return the start of everything that it holds for its callers, None where nobody knows."""

    def close(self, *, empty: bool) -> None:
        """End it; `empty` says that everything was given back, which it may check."""


class ModelSubject:
    """The model's kernel, or one with a fault, on a small machine."""

    name = "model"

    def __init__(
        self, make: Callable[[int], Kernel] = Kernel, *, merge: bool = False, look: bool = True
    ) -> None:
        """Start a kernel; `look` says whether its state is judged too, and what it refuses.

        A kernel that is judged by its answers alone is asked for nothing that it should refuse.
        """
        self.refuses = look
        with (
            mock.patch.object(page, "DMA_PAGES", DMA_BYTES // PAGE_SIZE),
            mock.patch.object(page, "DMA32_PAGES", DMA32_BYTES // PAGE_SIZE),
        ):
            self.kernel = make(MEMORY_BYTES)
        self.kernel.merge = merge
        self._look = look
        self._inside = inside.Inside(self.kernel)
        self._refusal = ""
        sleeper = Sleeper(self.kernel)
        self._functions = {
            name: sleeper.lenient(self._noting(function)) for name, function in self.kernel.api.items()
        }
        self.apis = frozenset(self._functions)
        self._records = memoryview(bytearray(HEADER.size + PART))
        access = ModelMemory(self.kernel.view)
        self._driver = Driver(self._functions, access, self._records, LARGEST, watched=True)
        sleeper.watch(self._driver.notes.asleep)

    def run(self, ops: Sequence[Op]) -> Seen:
        """Make calls in this process."""
        self._driver.run(ops, HEADER.size)
        end = HEADER.size + len(ops) * RECORD.size
        at = HEADER.size + NOTES_AT
        count = COUNT.unpack_from(self._records, at)[0]
        at += COUNT.size
        notes = list(NOTE.iter_unpack(self._records[at : at + count * NOTE.size])) if count else []
        return list(RECORD.iter_unpack(self._records[HEADER.size : end])), notes, ""

    def refusal(self) -> str:
        """Return the clause of the last refusal."""
        clause, self._refusal = self._refusal, ""
        return clause

    def mistake(self, call: Call) -> str:
        """Make a call that is refused."""
        before = inside.tables(self.kernel) if self._look else {}
        self._functions[call.api](*spoken(call))
        if self._look:
            now = inside.tables(self.kernel)
            changed = [table for table, content in before.items() if now[table] != content]
            assert not changed, f"{call} was refused and changed {changed}"
        return self.refusal()

    def broken(self) -> tuple[list[str], set[str]]:
        """Judge the state."""
        return (self._inside.broken() if self._look else []), self._inside.judged

    def held(self) -> set[int] | None:
        """Return what is in callers' hands."""
        return inside.objects_held(self.kernel) if self._look else None

    def close(self, *, empty: bool) -> None:
        """See that everything came back."""
        if empty and self._look:
            assert inside.is_empty(self.kernel), "pages are left where nobody has any"

    def _noting(self, function: Function) -> Function:
        def run(*args: object) -> int | list[int] | None:
            try:
                return function(*args)
            except Refused as refused:
                self._refusal = refused.clause
                raise

        return run


class LibrarySubject:
    """A library, freshly loaded by a worker; what it does to its process does not reach ours."""

    name = "library"
    refuses = False

    def __init__(self, worker: Worker, target: Target) -> None:
        """Load the library."""
        self._run: Run = worker.open(target)
        self.apis = self._run.apis

    def run(self, ops: Sequence[Op]) -> Seen:
        """Make calls in the worker's child."""
        self._run.start(ops)
        records, notes, death = self._run.finish()
        return records, notes, "" if death is None else death.how

    def refusal(self) -> str:
        """Return nothing: a library refuses nothing."""
        return ""

    def mistake(self, call: Call) -> str:
        """Make no mistake."""
        raise AssertionError(f"{call} is no call for a library")

    def broken(self) -> tuple[list[str], set[str]]:
        """Return nothing: what is within is not seen."""
        return [], set()

    def held(self) -> set[int] | None:
        """Return that nobody knows."""
        return None

    def close(self, *, empty: bool) -> None:
        """End the child."""
        del empty
        self._run.__exit__(None, None, None)


def spoken(call: Call) -> list[object]:
    """Return the arguments of a call as a target's functions take them."""
    parameters = APIS[call.api].parameters
    behind = list(call.args[len(parameters) :])
    args: list[object] = []
    for kind, value in zip(parameters, call.args, strict=False):
        if kind == "vector":
            args.append(behind)
        elif kind == "name":
            args.append(b"machine" if value else None)
        elif kind in ("ctor", "dtor", "alloc_fn", "free_fn"):
            args.append(_do_nothing if value else None)
        elif kind == "offset":
            base = args.pop()
            assert isinstance(base, int)
            args.append(base + value)
        elif kind != "array":
            args.append(value)
    return args


def _do_nothing(_: int) -> None:
    """Stand in for a function that a refused call never runs."""
