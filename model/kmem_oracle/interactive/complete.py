"""Completion: what a word may become, by where it stands in a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from kmem_oracle.interactive.helps import SUBJECTS
from kmem_oracle.language.syntax import CALLABLE, HANDLES, PROC_FILES, PROTECTIONS, WORDS, flags_of
from kmem_oracle.learn.holdings import Holdings
from kmem_spec.apis import Api, Parameter
from kmem_spec.gfp import NAMES_6_1

_WORD: Final = re.compile(r"[A-Za-z_0-9\[\]]*$")
_FILE: Final = re.compile(r"\s*cat\s+(\S*)$")
_HELP: Final = re.compile(r"\s*help\s+(\S*)$")
_CALL: Final = re.compile(r"(?:^|[;={]|\s)\s*(\w+)\s*\(([^()]*)$")  # the call in hand, and what it has so far


def complete(before: str, holdings: Holdings, commands: Sequence[str]) -> tuple[int, list[str]]:
    """Return where the word before the cursor begins, and what it may become."""
    for form, words in ((_FILE, PROC_FILES), (_HELP, SUBJECTS)):
        found = form.match(before)
        if found is not None:
            return found.start(1), _beginning(found[1], words)
    found = _WORD.search(before)
    assert found is not None  # it matches nothing at the end, too
    start, word = found.start(), found[0]
    line = re.split(r"[;{\n]", before[:start])[-1]
    call = _CALL.search(before)
    if call is not None and call[1] in CALLABLE:
        return start, _beginning(word, _arguments(CALLABLE[call[1]], call[2].count(","), holdings))
    if not line.strip():
        return start, _beginning(word, [*commands, "cat", "repeat", *CALLABLE])
    if line.rstrip().endswith("="):
        return start, _beginning(word, [name for name, api in CALLABLE.items() if api.makes])
    return start, []


def _beginning(word: str, words: Iterable[str]) -> list[str]:
    """Return the words that begin with what is there, each once."""
    return sorted({each for each in words if each.startswith(word)})


def _arguments(api: Api, place: int, holdings: Holdings) -> list[str]:
    """Return what may stand at a place among the arguments of a call."""
    written = [kind for kind in api.parameters if kind != "offset"]
    if place >= len(written):
        return []
    kind: Parameter = written[place]
    if kind == "gfp":
        return [*NAMES_6_1]
    if kind in WORDS:
        return [*WORDS[kind]]
    if kind in ("flags", "prot"):
        return [*(flags_of(api, kind) or PROTECTIONS)]
    if kind == "name":
        return ["NULL"]
    if kind in HANDLES:
        return [*holdings.live(kind), "NULL"]
    if kind in ("pointer", "source"):
        return [*holdings.live("object"), "NULL", "ZERO_SIZE_PTR"]
    if kind == "vector":
        return [name.partition("[")[0] for name in holdings.live("object") if "[" in name]
    return []
