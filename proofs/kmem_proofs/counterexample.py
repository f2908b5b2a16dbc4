"""A counterexample for people: what was given, each call with the state around it, how to run it again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO

from kmem_proofs.case import RAISED, Skip, Values, rerun
from kmem_proofs.obligations import Obligation
from kmem_proofs.picture import picture
from kmem_spec.clauses import CLAUSES


def counterexample(obligation: Obligation, values: Values, note: str) -> list[str]:
    """Return a counterexample as lines; it is replayed for them."""
    again = rerun(obligation.claim, values)
    given = " ".join(f"{name}={value}" for name, value in values.items())
    lines = [f"broken   {note}", f"given    {given}"]
    for call in again.case.calls:
        lines += [f"before   {call.before}"] if call.before else []
        lines += [f"call     {call.call}", f"gives    {call.outcome}"]
        lines += [f"after    {call.after}"] if call.after else []
        lines += [f"         {line}" for line in picture(call.was, call.became)]
    clause = CLAUSES.get(obligation.clause)
    if clause is not None:
        lines.append(f"clause   {clause.id} asks: {clause.sentence} ({clause.source})")
    if again.raised is not None:
        lines.append(f"raises   {again.raised!r}")
    elif again.goals:
        broken = [str(index + 1) for index, goal in enumerate(again.goals) if not goal]
        lines.append(f"goals    {len(again.goals)}, BROKEN: {', '.join(broken)}")
    program = _program(obligation, values)
    said = [f"    # {line}" for line in ran(program)]
    return [*lines, "run it", *(f"    {line}" for line in program), *said]


def ran(program: Sequence[str]) -> list[str]:
    """Run the program here and return what it says."""
    said = StringIO()
    try:
        with redirect_stdout(said):
            exec(compile("\n".join(program), "counterexample", "exec"), {})
    except (*RAISED, Skip, NameError, ImportError, SyntaxError) as error:
        return [*said.getvalue().splitlines(), f"raises {error!r}"]
    return said.getvalue().splitlines()


def _program(obligation: Obligation, values: Values) -> list[str]:
    """Return a program that makes the same calls, and then asks the claim."""
    case = rerun(obligation.claim, values).case
    lines = sorted(case.source.imports)
    for call in case.calls:
        lines += [f"state = {call.before}"] if call.before else []
        say = f"print({call.call}{', state' if call.before else ''})"
        returned = not call.outcome.startswith(("refused", "did not"))
        # printed for people to run: a step broken on purpose may fail in any way, and this shows how
        lines += (
            [say]
            if returned
            else ["try:", f"    {say}", "except Exception as error:", "    print(repr(error))"]
        )
    return [
        *lines,
        "from kmem_proofs.case import rerun",
        "from kmem_proofs.catalogue import catalogue",
        f"print(rerun(catalogue()[{obligation.name!r}].claim, {values!r}).goals)",
    ]
