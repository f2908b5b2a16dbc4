"""Every path of a claim, by running it again and again, and what Z3 says of each.

A path is the list of its decisions. At a condition that may go both ways it takes one and leaves the
other for a later run. Hypotheses and decisions become the path's assertions; the claim's goals must
follow from them. Terms live in a context of their own for each claim, so that the count of resources
is the same each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeVar, cast

from kmem_proofs.case import RAISED, Case, Claim, Skip, Values
from kmem_proofs.symbolic import SymbolicBool, SymbolicInt, Term, Unsupported, enter, leave, number, truth, z3
from kmem_proofs.tables import SymbolicTable
from kmem_spec.table import DictTable, Table

T = TypeVar("T", bound=DictTable[int])
Decision = tuple[bool, int | None]  # the side taken; the value, if one was guessed

PATHS_AT_MOST: Final = 10_000


class Answer(Enum):
    """Of a solver."""

    YES = "sat"
    NO = "unsat"


class Budget:
    """The context of one claim, and what Z3 may spend in it.

    A proof rests on each "no" of Z3: to a goal's contrary, and to a side of a branch that is then not taken.
    `denied` is given each of these as SMT-LIB text, for another solver to judge.
    """

    def __init__(self, rlimit: int, seed: int = 0, denied: Callable[[str], None] | None = None) -> None:
        self.context = z3.Context()
        self.rlimit = rlimit
        self.seed = seed
        self.denied = denied
        self.spent = 0

    def solver(self) -> Term:
        """Return a new solver."""
        solver = z3.Solver(ctx=self.context)
        solver.set("random_seed", self.seed)
        return solver

    def check(self, solver: Term, *conditions: Term) -> Answer:
        """Ask whether all of it can hold; raise `Unsupported` where Z3 does not know."""
        solver.set("rlimit", max(self.rlimit - self.spent, 1))
        answer = solver.check(*conditions)
        self.spent = solver.statistics().get_key_value("rlimit count")
        if answer == z3.unknown:
            raise Unsupported(f"Z3 gave up ({solver.reason_unknown()}) at rlimit {self.spent:,}")
        if answer == z3.sat:
            return Answer.YES
        if self.denied is not None:
            self.denied(self._text(solver, conditions))
        return Answer.NO

    def _text(self, solver: Term, conditions: Sequence[Term]) -> str:
        """Return what was asked as SMT-LIB."""
        question = z3.Solver(ctx=self.context)
        question.add(*solver.assertions(), *conditions)
        return str(question.to_smt2())


@dataclass(slots=True)
class Run:
    """One path, while it is being run."""

    budget: Budget
    prefix: Sequence[Decision]
    solver: Term = None
    taken: list[Decision] = field(default_factory=list)
    later: list[list[Decision]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.solver = self.budget.solver()

    @property
    def context(self) -> Term:
        """The context of all terms."""
        return self.budget.context

    def decide(self, condition: Term) -> bool:
        """Take one side of `condition`, and come back for the other."""
        condition = z3.simplify(condition)
        if z3.is_true(condition):
            return True
        if z3.is_false(condition):
            return False
        return self._take(condition, None)

    def guess(self, term: Term) -> int | None:
        """Return a value of `term`, or None on the path where it has another."""
        known = len(self.taken) < len(self.prefix)
        value = self.prefix[len(self.taken)][1] if known else self._value(term)
        return value if self._take(term == value, value) else None

    def branch(self) -> bool:
        """Go both ways, with nothing to ask."""
        if len(self.taken) < len(self.prefix):
            side = self.prefix[len(self.taken)][0]
        else:
            side = True
            self.later.append([*self.taken, (False, None)])
        self.taken.append((side, None))
        return side

    def assume(self, term: Term) -> None:
        """Add what is known on this path."""
        self.solver.add(term)

    def possible(self, condition: Term) -> bool:
        """Say whether `condition` can hold on this path."""
        return self.budget.check(self.solver, condition) is Answer.YES

    def _take(self, condition: Term, value: int | None) -> bool:
        """Follow the prefix; after it take the true side where it is possible, and note the false side."""
        if len(self.taken) < len(self.prefix):
            side = self.prefix[len(self.taken)][0]
        else:
            side = self.possible(condition)
            if side and self.possible(z3.Not(condition)):
                self.later.append([*self.taken, (False, value)])
        self.taken.append((side, value))
        self.assume(condition if side else z3.Not(condition))
        return side

    def _value(self, term: Term) -> int:
        """Return some value of `term` on this path."""
        if self.budget.check(self.solver) is Answer.NO:
            raise Skip
        return int(self.solver.model().eval(term, model_completion=True).as_long())


class SymbolicCase(Case):
    """A case with all inputs at once."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.inputs: dict[str, Term] = {}
        self.chosen: dict[str, int] = {}
        self.tables: dict[str, SymbolicTable] = {}
        self.before: dict[str, SymbolicTable] = {}

    def number(self, name: str) -> int:
        """Return an arbitrary integer."""
        self.inputs[name] = z3.Int(name, self.run.context)
        return cast("int", SymbolicInt(self.inputs[name]))  # claims see it as what it stands for

    def choose(self, name: str, values: Sequence[int]) -> int:
        """Return any one of `values`, each on a path of its own."""
        left = list(values)
        while len(left) > 1 and not self.run.branch():
            left.pop(0)
        self.chosen[name] = left[0]
        return left[0]

    def table(self, name: str, kind: type[T]) -> T:
        """Return an arbitrary table."""
        return cast("T", self._note(name, SymbolicTable(name, self.run.assume)))

    def empty(self, name: str, kind: type[T]) -> T:
        """Return a table with nothing in it."""
        return cast("T", self._note(name, SymbolicTable(name, self.run.assume, empty=True)))

    def _note(self, name: str, table: SymbolicTable) -> SymbolicTable:
        self.tables[name], self.before[name] = table, table.snapshot()
        return table

    def snapshot(self, table: Table[int]) -> Table[int]:
        """Return the table as it is now."""
        if not isinstance(table, SymbolicTable):
            raise Unsupported("a symbolic case has symbolic tables")
        return cast("Table[int]", table.snapshot())

    def assume(self, *conditions: bool) -> None:
        """Claim nothing where a condition does not hold."""
        for condition in conditions:
            if condition is False:
                raise Skip
            self.run.assume(truth(condition))

    def either(self, condition: bool, one: int, other: int) -> int:
        """Return `one` where the condition holds, else `other`."""
        return cast("int", SymbolicInt(z3.If(truth(condition), number(one), number(other))))

    def little(self) -> list[Term]:
        """Return what must hold for the tables that were summed to have only the keys that were asked for."""
        conditions = []
        for table in self.before.values():
            if not table.asked.summed:
                continue
            total = z3.IntVal(0, self.run.context)
            for index, key in enumerate(table.asked.keys):
                new = [key != earlier for earlier in table.asked.keys[:index]]
                total = total + z3.If(z3.And(table.has[key], *new), table.value[key], 0)
            conditions.append(table.sum == total)
        return conditions


@dataclass(frozen=True, slots=True)
class Ended:
    """One path that was run to its end."""

    case: SymbolicCase
    goals: Sequence[bool]
    raised: Exception | None


def explore(claim: Claim, budget: Budget) -> Iterator[Ended]:
    """Yield every path of the claim that does not leave it by `Skip`."""
    waiting: list[list[Decision]] = [[]]
    count = 0
    while waiting:
        count += 1
        if count > PATHS_AT_MOST:
            raise Unsupported(f"more than {PATHS_AT_MOST:,} paths")
        run = Run(budget, waiting.pop())
        case = SymbolicCase(run)
        enter(run)
        try:
            yield Ended(case, list(claim(case)), None)
        except Skip:
            pass
        except RAISED as error:
            yield Ended(case, [], error)
        finally:
            leave()
            waiting += run.later


def evaluated(model: Term, value: object) -> object:
    """Return what a result of symbolic code is under `model`."""
    if isinstance(value, SymbolicInt):
        return int(model.eval(value.term, model_completion=True).as_long())
    if isinstance(value, SymbolicBool):
        return bool(z3.is_true(model.eval(value.term, model_completion=True)))
    if isinstance(value, tuple):
        return tuple(evaluated(model, part) for part in value)
    return value


def contents(model: Term, table: SymbolicTable) -> dict[int, int]:
    """Return what a table has under `model`, at the keys that were asked for, and in runs of keys."""

    def value(term: Term) -> int:
        return int(model.eval(term, model_completion=True).as_long())

    found: dict[int, int] = {}
    for first, count, new in table.runs:
        run = range(value(first), value(first) + value(count))
        if new is None:
            found = {key: there for key, there in found.items() if key not in run}
        else:
            found |= dict.fromkeys(run, value(new))
    for key in table.asked.keys:  # what else was done to the table was done to these
        found.pop(value(key), None)
        if z3.is_true(model.eval(table.has[key], model_completion=True)):
            found[value(key)] = value(table.value[key])
    return found


def values_of(model: Term, case: SymbolicCase) -> Values:
    """Return the inputs of the case under `model`."""
    numbers = {
        name: int(model.eval(term, model_completion=True).as_long()) for name, term in case.inputs.items()
    }
    tables = {name: contents(model, table) for name, table in case.before.items()}
    return {**case.chosen, **numbers, **tables}
