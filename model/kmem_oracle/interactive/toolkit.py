"""Lines by prompt_toolkit, which is an extra: history, completion, search by Ctrl-R."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, InMemoryHistory

from kmem_oracle.interactive.prompts import Complete
from kmem_oracle.learn.lesson import Prompt


class _Words(Completer):
    """Completes by a function of the text before the cursor."""

    def __init__(self, complete: Complete) -> None:
        self._complete = complete

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Yield what a word may become."""
        text = document.text_before_cursor
        start, words = self._complete(text)
        for word in words:
            yield Completion(word, start_position=start - len(text))


def toolkit_prompt(complete: Complete, history: Path | None) -> Prompt:
    """Return a way to read lines, with a history in that file or in memory."""
    session: PromptSession[str] = PromptSession(
        history=InMemoryHistory() if history is None else FileHistory(str(history)),
        completer=_Words(complete),
        complete_while_typing=False,
    )
    return session.prompt
