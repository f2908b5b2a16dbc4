"""The translation of each operator against Python's own, at thousands of points and in both orders."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("z3")

from kmem_proofs.case import Case
from kmem_proofs.explore import Budget, Run, SymbolicCase, contents, evaluated, explore
from kmem_proofs.symbolic import SymbolicBool, SymbolicInt, Unsupported, enter, leave, z3
from kmem_proofs.tables import SymbolicTable
from kmem_spec.extents import Spans
from kmem_spec.zone import Blocks

POINTS = 1500
Value = Any  # an int or bool, or what stands for one

ARITHMETIC = [operator.add, operator.sub, operator.mul]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]
DIVISIONS = [operator.floordiv, operator.mod]
BITWISE = [operator.and_, operator.or_, operator.xor]
SHIFTS = [operator.lshift, operator.rshift]
UNARY = [operator.neg, operator.pos, operator.invert, operator.abs]
Operator = Callable[[Value, Value], Value]


@pytest.fixture
def run() -> Iterator[Run]:
    new = Run(Budget(10**9), [])
    enter(new)
    yield new
    leave()


def any_integer(rng: random.Random) -> int:
    """Small, large, negative, and around powers of two."""
    return rng.choice(
        [
            rng.randrange(-3, 4),
            rng.getrandbits(8),
            rng.getrandbits(64),
            -rng.getrandbits(64),
            1 << rng.randrange(66),
            -(1 << rng.randrange(66)),
            (1 << rng.randrange(66)) - 1,
        ]
    )


def pairs(seed: int, positive: bool = False) -> list[tuple[int, int]]:
    rng = random.Random(seed)
    found = [(any_integer(rng), any_integer(rng)) for _ in range(POINTS)]
    return [(one, abs(other) + 1) for one, other in found] if positive else found


def variable(run: Run, name: str) -> SymbolicInt:
    return SymbolicInt(z3.Int(name, run.context))


def at(run: Run, value: Value, **inputs: int) -> Value:
    """Return what a symbolic result is where its variables have these values."""
    if not isinstance(value, SymbolicInt | SymbolicBool):
        return value
    values = [(z3.Int(name, run.context), z3.IntVal(number, run.context)) for name, number in inputs.items()]
    term = z3.simplify(z3.substitute(value.term, *values))
    if isinstance(value, SymbolicBool):
        assert z3.is_true(term) or z3.is_false(term)
        return z3.is_true(term)
    return term.as_long()


@pytest.mark.parametrize("operation", [*ARITHMETIC, *COMPARISONS, *BITWISE])
def test_an_operator_with_a_constant_on_either_side(run: Run, operation: Operator) -> None:
    x = variable(run, "x")
    for one, other in pairs(1):
        assert at(run, operation(x, other), x=one) == operation(one, other), (one, other)
        assert at(run, operation(one, x), x=other) == operation(one, other), (one, other)


@pytest.mark.parametrize("operation", [*ARITHMETIC, *COMPARISONS])
def test_an_operator_of_two_variables(run: Run, operation: Operator) -> None:
    translated = operation(variable(run, "x"), variable(run, "y"))
    for one, other in pairs(2):
        assert at(run, translated, x=one, y=other) == operation(one, other), (one, other)


@pytest.mark.parametrize("operation", DIVISIONS)
def test_division_floors_as_pythons_does(run: Run, operation: Operator) -> None:
    x, y = variable(run, "x"), variable(run, "y")
    run.assume(y.term > 0)
    both = operation(x, y)
    for one, other in pairs(3, positive=True):
        expected = operation(one, other)
        assert at(run, operation(x, other), x=one) == expected, (one, other)
        assert at(run, both, x=one, y=other) == expected, (one, other)
        assert at(run, operation(one, y), y=other) == expected, (one, other)


@pytest.mark.parametrize("operation", DIVISIONS)
def test_division_by_zero_raises_and_by_less_is_not_translated(run: Run, operation: Operator) -> None:
    x = variable(run, "x")
    for divisor in (-1, -8, -(2**64)):
        with pytest.raises(Unsupported):
            operation(x, divisor)
    with pytest.raises(ZeroDivisionError):
        operation(x, 0)
    run.assume(x.term == 0)
    with pytest.raises(ZeroDivisionError):
        operation(7, x)


@pytest.mark.parametrize("operation", SHIFTS)
def test_a_shift_by_a_constant(run: Run, operation: Operator) -> None:
    x = variable(run, "x")
    for one, other in pairs(4):
        count = abs(other) % 70
        assert at(run, operation(x, count), x=one) == operation(one, count), (one, count)
    with pytest.raises(ValueError, match="negative shift"):
        operation(x, -1)


@pytest.mark.parametrize("operation", [*SHIFTS, *BITWISE])
def test_what_needs_a_constant_forks_over_the_values(operation: Operator) -> None:
    def claim(case: Case) -> list[bool]:
        x, y = case.number("x"), case.number("y")
        case.assume(y >= 3, y < 9, x >= -20, x < 20)
        case.results.append(operation(x, y))
        case.results.append(operation(1000, y))
        return []

    seen = set()
    budget = Budget(10**9)
    for ended in explore(claim, budget):
        solver = ended.case.run.solver
        for _ in range(3):
            assert solver.check() == z3.sat
            model = solver.model()
            one, other = (
                model.eval(ended.case.inputs[name], model_completion=True).as_long() for name in "xy"
            )
            got = [evaluated(model, value) for value in ended.case.results]
            assert got == [operation(one, other), operation(1000, other)]
            seen.add(other)
            solver.add(ended.case.inputs["x"] != one)
    assert seen == set(range(3, 9))


def test_too_many_values_for_a_constant_are_not_translated() -> None:
    def claim(case: Case) -> list[bool]:
        return [case.number("x") & case.number("y") == 0]

    with pytest.raises(Unsupported, match="more than 64"):
        list(explore(claim, Budget(10**9)))


@pytest.mark.parametrize("operation", UNARY)
def test_a_unary_operator(run: Run, operation: Callable[[Value], Value]) -> None:
    translated = operation(variable(run, "x"))
    for one, _ in pairs(5):
        assert at(run, translated, x=one) == operation(one)


@pytest.mark.parametrize("operation", [*BITWISE, operator.eq, operator.ne, operator.add])
def test_truth_values(run: Run, operation: Operator) -> None:
    x, y = variable(run, "x"), variable(run, "y")
    for one in (False, True):
        for other in (False, True):
            inputs = {"x": int(one), "y": int(other)}
            expected = operation(one, other)
            assert at(run, operation(x == 1, y == 1), **inputs) == expected
            assert at(run, operation(x == 1, other), **inputs) == expected
            assert at(run, operation(one, y == 1), **inputs) == expected


@pytest.mark.parametrize(
    "code",
    [
        lambda x: x**2,
        lambda x: 2**x,
        lambda x: x / 2,
        lambda x: divmod(x, 2),
        lambda x: round(x),
        lambda x: float(x),
        lambda x: x.bit_length(),
        lambda x: x < "1",
        lambda x: x + None,
        lambda x: ~(x == 1),
        lambda x: (x == 1) & 1,
    ],
)
def test_what_has_no_translation_is_refused(run: Run, code: Callable[[Value], Value]) -> None:
    with pytest.raises(Unsupported):
        code(variable(run, "x"))


def test_symbolic_values_are_no_keys_and_equal_nothing_else(run: Run) -> None:
    x = variable(run, "x")
    with pytest.raises(TypeError):
        hash(x)
    with pytest.raises(TypeError):
        hash(x == 1)
    assert (x == None) is False  # noqa: E711  # the operator is what is tested
    assert (x != "1") is True


def test_every_branch_is_taken_once() -> None:
    def claim(case: Case) -> list[bool]:
        x = case.number("x")
        case.results.append("low" if x < 0 else "zero" if x == 0 else "high" if x > 9 else "few")
        case.assume(x < 100)
        return [x < 100]

    ways = [ended.case.results[0] for ended in explore(claim, Budget(10**9))]
    assert sorted(map(str, ways)) == ["few", "high", "low", "zero"]


def test_a_table_does_what_a_dict_does() -> None:
    names = [f"k{index}" for index in range(4)]
    for seed in range(60):
        rng = random.Random(seed)
        keys = {name: rng.randrange(3) for name in names}
        plain = Blocks()
        run = Run(Budget(10**9), [])
        enter(run)
        case = SymbolicCase(run)
        table: Value = case.empty("table", Blocks)
        symbolic: dict[str, Value] = {name: case.number(name) for name in names}
        for name, value in keys.items():
            case.assume(symbolic[name] == value)
        expected: list[object] = []
        got: list[object] = []
        for _ in range(8):
            name, action = rng.choice(names), rng.choice(["put", "drop", "get", "total"])
            key, value = keys[name], rng.randrange(-5, 6)
            if action == "put":
                plain.put(key, value)
                table.put(symbolic[name], value)
            elif action == "drop" and key in plain:
                plain.drop(key)
                table.drop(symbolic[name])
            elif action == "drop":
                with pytest.raises(KeyError):
                    table.drop(symbolic[name])
            elif action == "get":
                expected.append(plain.get(key, value))
                got.append(table.get(symbolic[name], value))
            else:
                expected.append(plain.total())
                got.append(table.total())
        assert run.solver.check() == z3.sat
        model = run.solver.model()
        assert [evaluated(model, value) for value in got] == expected, seed
        assert contents(model, table) == plain, seed
        leave()


def test_runs_of_keys_do_what_a_dict_does() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        plain = Blocks()
        run = Run(Budget(10**9), [])
        enter(run)
        case = SymbolicCase(run)
        table: Value = case.empty("table", Blocks)
        expected: list[object] = []
        got: list[object] = []
        for step in range(7):
            first, count, value = rng.randrange(6), rng.randrange(4), rng.randrange(-5, 6)
            at: Value = case.number(f"first{step}")
            many: Value = case.number(f"count{step}")
            case.assume(at == first, many == count)
            action = rng.choice(["fill", "fill", "wipe", "put", "get", "vacant"])
            if action == "fill":
                plain.fill(first, count, value)
                table.fill(at, many, value)
            elif action == "wipe":
                plain.wipe(first, count)
                table.wipe(at, many)
            elif action == "put":
                plain.put(first, value)
                table.put(at, value)
            elif action == "get":
                expected.append(plain.get(first, value))
                got.append(table.get(at, value))
            else:
                expected.append(plain.vacant(first, count))
                got.append(table.vacant(at, many))
        for key in range(10):
            expected.append(plain.get(key, 99))
            got.append(table.get(key, 99))
        assert run.solver.check() == z3.sat
        model = run.solver.model()
        assert [evaluated(model, value) for value in got] == expected, seed
        assert contents(model, table) == plain, seed
        for symbolic, concrete in zip(got, expected, strict=True):
            differs: Value = symbolic != concrete
            assert differs is False or not run.possible(differs.term), "there is no other answer"
        leave()


def test_what_was_set_as_a_run_is_there_though_nobody_asked_for_it(run: Run) -> None:
    table = SymbolicTable("table", run.assume, empty=True)
    before = table.snapshot()
    table.fill(3, 1000, 7)
    table.wipe(5, 990)
    table.drop(4)
    assert run.solver.check() == z3.sat
    model = run.solver.model()
    assert contents(model, table) == dict.fromkeys([3, *range(995, 1003)], 7)
    assert contents(model, before) == {}


def test_of_a_run_of_keys_there_is_no_sum(run: Run) -> None:
    table = SymbolicTable("table", run.assume)
    table.fill(3, 2, 7)
    table.put(3, 8)
    with pytest.raises(Unsupported, match="the sum of a table"):
        table.total()


@pytest.mark.parametrize("spans", [{}, {8: 4}, {8: 4, 16: 8}, {0: 64}, {8: 4, 20: 1, 40: 3}])
def test_apart_and_every_answer_as_the_dict_does(spans: dict[int, int]) -> None:
    plain = Spans(spans)
    for start in range(0, 48, 3):
        run = Run(Budget(10**9), [])
        enter(run)
        table = SymbolicTable("spans", run.assume, empty=True)
        for key, value in spans.items():
            table.put(key, value)
        answer: Value = table.apart(start, 4)
        apart = plain.apart(start, 4)
        assert run.possible(answer.term) is apart
        assert run.possible(z3.Not(answer.term)) is not apart
        leave()


def test_every_speaks_of_keys_that_are_asked_for_later(run: Run) -> None:
    table = SymbolicTable("table", run.assume)
    all_small: Value = table.every(lambda _, value: value < 10)
    run.assume(all_small.term)
    later = variable(run, "later")
    assert not run.possible((table.get(later, 0) >= 10).term)
    assert run.possible((table.get(later, 0) < 10).term)


def test_a_table_can_be_used_as_a_table_only(run: Run) -> None:
    table: Value = SymbolicTable("table", run.assume)
    for misuse in (len, bool, list, lambda it: it[0], lambda it: 0 in it):
        with pytest.raises(Unsupported):
            misuse(table)
