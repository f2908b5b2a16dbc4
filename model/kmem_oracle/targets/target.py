"""What a target is, that it could not be run, and how it died."""

from __future__ import annotations

from dataclasses import dataclass


class CouldNotRun(Exception):
    """A target that cannot be judged at all; the message is one line."""


@dataclass(frozen=True, slots=True)
class Target:
    """What to open: `kind` is model, malloc, library, exec, python or linux.

    `name` is its path, the model's memory in MiB, a command, a module and what is in it, or a kernel.
    together   phases that are played before it is loaded afresh
    shrink     seconds at least for the reduction of what is found
    """

    kind: str
    name: str
    label: str
    together: int = 1
    shrink: float = 0.0


@dataclass(frozen=True, slots=True)
class Death:
    """How a target died: in the middle of call `index` of the chunk; `how` completes "the call …".

    unusable   why it cannot be judged any further, where it is not its call that is to blame
    console    the last that a kernel printed
    said       the last line that it wrote to its streams
    wild       whether it wrote over what was seen of the chunk, so that any of its calls may be to blame
    """

    index: int
    how: str
    unusable: str = ""
    console: str = ""
    said: str = ""
    wild: bool = False

    def told(self) -> str:
        """Return how it died, with its own last words."""
        return with_words(self.how, self.said)


def with_words(sentence: str, said: str) -> str:
    """Return a sentence with the last words of what it is about, if there were any."""
    return f"{sentence}; it wrote: {said}" if said else sentence
