"""One obligation discharged: its witness replayed, its claim proved, its mutants refuted."""

from __future__ import annotations

from time import perf_counter

from kmem_proofs.case import Values, rerun
from kmem_proofs.obligations import Obligation
from kmem_proofs.prove import prove
from kmem_proofs.verdict import Proof, Result, Verdict
from kmem_spec.clauses import CLAUSES


def discharge(obligation: Obligation, *, mutants: bool = True) -> Result:
    """Judge an obligation, and its mutants where `mutants` asks for that."""
    start = perf_counter()
    proof = _witnessed(obligation) or prove(obligation.claim, obligation.rlimit)
    survivors, spent = [], proof.rlimit
    if mutants and not obligation.mutants:
        survivors.append("it has no mutant")
    for mutant in obligation.mutants if mutants else ():
        changed = prove(mutant.claim, obligation.rlimit, replay_paths=False)
        if changed.verdict is not Verdict.REFUTED:
            survivors.append(f"{mutant.says}: {changed.verdict.value} {changed.note}".rstrip())
    report = [*_report(obligation, proof), *(f"survives {survivor}" for survivor in survivors)]
    count = max(len(obligation.mutants), len(survivors)) if mutants else 0
    return Result(
        obligation.name,
        proof.verdict,
        obligation.level,
        proof.paths,
        spent,
        perf_counter() - start,
        count,
        tuple(survivors),
        tuple(report),
    )


def _witnessed(obligation: Obligation) -> Proof | None:
    """Return what is wrong with the witness, None if it meets the hypotheses and the claim."""
    again = rerun(obligation.claim, obligation.witness)
    if again.skipped:
        return Proof(Verdict.VACUOUS, note="the witness does not meet the hypotheses")
    if again.broken:
        return Proof(Verdict.REFUTED, note="the witness", counterexample=obligation.witness)
    return None


def _report(obligation: Obligation, proof: Proof) -> list[str]:
    """Return the lines that follow a verdict which is not green."""
    if proof.counterexample is not None:
        return counterexample(obligation, proof.counterexample, proof.note)
    return [f"because  {proof.note}"] if proof.note else []


def counterexample(obligation: Obligation, values: Values, note: str) -> list[str]:
    """Return a counterexample as lines: what was given, each call with the state around it, how to run it."""
    again = rerun(obligation.claim, values)
    given = " ".join(f"{name}={value}" for name, value in values.items())
    lines = [f"broken   {note}", f"given    {given}"]
    for call in again.case.calls:
        lines += [f"before   {call.before}"] if call.before else []
        lines += [f"call     {call.call}", f"gives    {call.outcome}"]
        lines += [f"after    {call.after}"] if call.after else []
    clause = CLAUSES.get(obligation.clause)
    if clause is not None:
        lines.append(f"clause   {clause.id} asks: {clause.sentence} ({clause.source})")
    if again.raised is not None:
        lines.append(f"raises   {again.raised!r}")
    elif again.goals:
        lines.append(f"goals    {', '.join('holds' if goal else 'BROKEN' for goal in again.goals)}")
    return [*lines, "run it", *(f"    {line}" for line in _program(obligation, values))]


def _program(obligation: Obligation, values: Values) -> list[str]:
    """Return a program that makes the same calls, and then asks the claim."""
    case = rerun(obligation.claim, values).case
    lines = sorted(case.source.imports)
    for call in case.calls:
        lines += [f"state = {call.before}"] if call.before else []
        lines += [f"print({call.call}{', state' if call.before else ''})"]
    return [
        *lines,
        "from kmem_proofs.case import rerun",
        "from kmem_proofs.catalogue import catalogue",
        f"print(rerun(catalogue()[{obligation.name!r}].claim, {values!r}).goals)",
    ]
