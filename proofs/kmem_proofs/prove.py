"""The verdict on a claim: every path explored, each replayed on the code, every goal asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kmem_proofs.case import Claim, Rerun, Values, rerun
from kmem_proofs.explore import Answer, Budget, Ended, contents, evaluated, explore, values_of
from kmem_proofs.symbolic import Term, Unsupported, truth, z3
from kmem_proofs.verdict import Proof, Verdict

SMALL: Final = (16, 64, 4096, 1 << 17)  # bytes, pages or indices


def prove(
    claim: Claim,
    rlimit: int,
    *,
    replay_paths: bool = True,
    seed: int = 0,
    denied: Callable[[str], None] | None = None,
) -> Proof:
    """Judge `claim` for all inputs; `seed` is the solver's, and `denied` is told what the proof rests on.

    Each path that some input takes is replayed on one such input, and must give what the symbolic run gave
    (`replay_paths`). A counterexample counts only if it breaks the claim when it is replayed.
    """
    budget = Budget(rlimit, seed, denied)
    reached = 0
    try:
        for ended in explore(claim, budget):
            solver = ended.case.run.solver
            if budget.check(solver) is Answer.NO:
                continue
            reached += 1
            found = _on_path(claim, ended, budget, replay_paths)
            if found is not None:
                return Proof(
                    found.verdict,
                    reached,
                    budget.spent,
                    f"path {reached}: {found.note}",
                    found.counterexample,
                )
    except Unsupported as reason:
        return Proof(Verdict.UNKNOWN, reached, budget.spent, str(reason))
    if reached == 0:
        return Proof(Verdict.VACUOUS, 0, budget.spent, "no input meets the hypotheses")
    return Proof(Verdict.PROVED, reached, budget.spent)


def _on_path(claim: Claim, ended: Ended, budget: Budget, replay_paths: bool) -> Proof | None:
    """Return what is wrong with one path, None if nothing is."""
    solver = ended.case.run.solver
    if ended.raised is not None:
        return _counterexample(claim, ended, _model(ended, budget), f"raises {ended.raised!r}")
    if replay_paths:
        model = _model(ended, budget)
        difference = _difference(model, ended, rerun(claim, values_of(model, ended.case)))
        if difference is not None:
            return Proof(Verdict.UNKNOWN, note=f"the replay differs from the symbolic run: {difference}")
    for index, goal in enumerate(ended.goals):
        if goal is True:
            continue
        solver.push()
        solver.add(z3.Not(truth(goal)))
        if budget.check(solver) is Answer.YES:
            model = (_small_model(ended, budget) if replay_paths else None) or _model(ended, budget)
            return _counterexample(claim, ended, model, f"goal {index + 1} of {len(ended.goals)}")
        solver.pop()
    return None


def _model(ended: Ended, budget: Budget) -> Term:
    """Return a model of the path, one that replays: summed tables have nothing but what it says of them."""
    solver = ended.case.run.solver
    solver.push()
    solver.add(*ended.case.little())
    if budget.check(solver) is Answer.NO:
        raise Unsupported("no input is small enough to be replayed")
    model = solver.model()
    solver.pop()
    return model


def _small_model(ended: Ended, budget: Budget) -> Term | None:
    """Return a model with small numbers, which people can look at; None if there is none, or not at once."""
    solver, case = ended.case.run.solver, ended.case
    terms = [*case.inputs.values()]
    for table in case.before.values():
        terms += [part for key in table.asked.keys for part in (key, table.value[key])]
    for most in SMALL:
        if budget.spent > budget.rlimit // 2:
            return None
        solver.push()
        solver.add(*case.little(), *(z3.And(-most <= term, term <= most) for term in terms))
        model = solver.model() if budget.check(solver) is Answer.YES else None
        solver.pop()
        if model is not None:
            return model
    return None


def _counterexample(claim: Claim, ended: Ended, model: Term, what: str) -> Proof:
    """Return the refutation, if it breaks the claim on the code itself."""
    values: Values = values_of(model, ended.case)
    if rerun(claim, values).broken:
        return Proof(Verdict.REFUTED, note=what, counterexample=values)
    return Proof(
        Verdict.UNKNOWN, note=f"{what} fails symbolically, but not on the code: a fault of the encoding"
    )


def _difference(model: Term, ended: Ended, again: Rerun) -> str | None:
    """Return where the replay of a path differs from its symbolic run."""
    if again.skipped or again.raised is not None:
        return f"it {'skips' if again.skipped else f'raises {again.raised!r}'}"
    for what, symbolic, concrete in (
        ("results", ended.case.results, again.case.results),
        ("goals", ended.goals, again.goals),
    ):
        expected = [evaluated(model, value) for value in symbolic]
        if expected != list(concrete):
            return f"{what} {concrete} for {expected}"
    for name, table in ended.case.tables.items():
        expected_table = contents(model, table)
        if expected_table != dict(again.case.tables[name]):
            return f"table {name} {dict(again.case.tables[name])} for {expected_table}"
    return None
