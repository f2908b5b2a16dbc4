"""A second opinion: cvc5 is asked whether what Z3 denies can be denied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from kmem_proofs.verdict import Second

MILLISECONDS: Final = 30_000  # for one question


def answer_of_cvc5(question: str) -> str:
    """Return sat, unsat, or unknown with the reason, for a question as SMT-LIB text."""
    import cvc5  # an extra, needed for --cross alone

    solver = cvc5.Solver()
    solver.setOption("tlimit-per", str(MILLISECONDS))
    solver.setOption("arrays-exp", "true")  # tables with nothing in them
    parser = cvc5.InputParser(solver)
    text = "(set-logic ALL)\n" + question.replace("(check-sat)", "")
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "question")
    symbols = parser.getSymbolManager()
    command = parser.nextCommand()
    while not command.isNull():
        command.invoke(solver, symbols)
        command = parser.nextCommand()
    try:
        return str(solver.checkSat())
    except RuntimeError as error:  # what it cannot treat at all
        return f"unknown ({error})"


@dataclass(slots=True)
class Tally:
    """Asks at once, and counts the answers."""

    ask: Callable[[str], str] = answer_of_cvc5
    counts: dict[str, int] = field(default_factory=lambda: {"unsat": 0, "sat": 0, "unknown": 0})
    doubted: list[str] = field(default_factory=list)  # the questions that it does not answer as Z3 does

    def __call__(self, question: str) -> None:
        """Ask one question, to which Z3 said unsat."""
        word = self.ask(question).split()[0].strip("()")
        self.counts[word if word in self.counts else "unknown"] += 1
        if word != "unsat":
            self.doubted.append(question)

    @property
    def second(self) -> Second:
        """What came of it."""
        return Second(self.counts["unsat"], self.counts["unknown"], self.counts["sat"])
