"""One obligation discharged: its witness replayed, its claim proved, its mutants refuted."""

from __future__ import annotations

from dataclasses import dataclass
from time import process_time

from kmem_proofs.case import rerun
from kmem_proofs.counterexample import counterexample
from kmem_proofs.obligations import Mutant, Obligation
from kmem_proofs.prove import prove
from kmem_proofs.second import Tally
from kmem_proofs.verdict import Proof, Result, Verdict
from kmem_proofs.writes import why_idle


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a run, besides the proof: mutants, another seed of the solver, a second solver."""

    mutants: bool = True
    seed: int = 0
    cross: bool = False


ALL: Asked = Asked()


def discharge(obligation: Obligation, asked: Asked = ALL) -> Result:
    """Judge an obligation, and what shows that the judgement could have been another."""
    start = process_time()
    tally = Tally() if asked.cross and obligation.level != "C" else None
    proof = _witnessed(obligation) or _proved(obligation, asked.seed, tally)
    survivors = [
        says
        for says in (_survives(obligation, each, asked.seed) for each in _tried(obligation, asked))
        if says
    ]
    if asked.mutants and not obligation.mutants:
        survivors.append("it has no mutant")
    second = tally.second if tally is not None else None
    verdict, report = proof.verdict, _report(obligation, proof)
    if verdict is Verdict.PROVED:
        idle = why_idle(obligation)
        if idle:
            verdict, report = Verdict.IDLE, [f"because  {idle}"]
        elif survivors:
            verdict = Verdict.SURVIVED
        elif second is not None and not second.confirms:
            verdict, report = (
                Verdict.DISPUTED,
                [f"because  cvc5: {second.unknown} unknown, {second.disagree} sat"],
            )
    return Result(
        obligation.name,
        verdict,
        obligation.level,
        proof.paths,
        proof.rlimit,
        process_time() - start,
        max(len(obligation.mutants), len(survivors)) if asked.mutants else 0,
        tuple(survivors),
        (*report, *(f"survives {survivor}" for survivor in survivors)),
        second,
    )


def _witnessed(obligation: Obligation) -> Proof | None:
    """Return what is wrong with the witness, None if it meets the hypotheses and the claim."""
    again = rerun(obligation.claim, obligation.witness)
    if again.skipped:
        return Proof(Verdict.VACUOUS, note="the witness does not meet the hypotheses")
    if again.broken:
        return Proof(Verdict.REFUTED, note="the witness", counterexample=obligation.witness)
    if obligation.level == "C":  # it was all of it: the claim goes over its states by itself
        return Proof(Verdict.PROVED, len(again.goals)) if again.goals else Proof(Verdict.VACUOUS)
    return None


def _proved(obligation: Obligation, seed: int, tally: Tally | None) -> Proof:
    return prove(obligation.claim, obligation.rlimit, seed=seed, denied=tally)


def _tried(obligation: Obligation, asked: Asked) -> tuple[Mutant, ...]:
    return obligation.mutants if asked.mutants else ()


def _survives(obligation: Obligation, mutant: Mutant, seed: int) -> str:
    """Return how a mutant survives, "" if it is refuted."""
    if obligation.level == "C":
        return "" if rerun(mutant.claim, obligation.witness).broken else f"{mutant.says}: no state shows it"
    changed = prove(mutant.claim, obligation.rlimit, replay_paths=False, seed=seed)
    if changed.verdict is Verdict.REFUTED:
        return ""
    return f"{mutant.says}: {changed.verdict.value} {changed.note}".rstrip()


def _report(obligation: Obligation, proof: Proof) -> list[str]:
    """Return the lines that follow a verdict which is not green."""
    if proof.counterexample is not None:
        return counterexample(obligation, proof.counterexample, proof.note)
    return [f"because  {proof.note}"] if proof.note else []
