"""spec/README.md names every call once, and as modelled exactly those that are."""

from __future__ import annotations

import re
from pathlib import Path

from kmem_model.kernel import Kernel
from kmem_spec.apis import APIS, KERNEL_APIS

PAGE = Path(__file__).parents[2] / "spec" / "README.md"
ROW = re.compile(
    r"^\| (?P<calls>[A-Za-z_0-9, ]+) \| (?P<modelled>yes|no) \| (?P<why>[^|]*) \|$", re.MULTILINE
)


def rows() -> list[tuple[list[str], bool, str]]:
    found = ROW.finditer(PAGE.read_text(encoding="utf-8"))
    return [
        ([name.strip() for name in row["calls"].split(",")], row["modelled"] == "yes", row["why"].strip())
        for row in found
    ]


def test_the_calls_called_modelled_are_those_of_the_spec_and_of_the_model() -> None:
    modelled = [name for names, yes, _ in rows() if yes for name in names]
    assert sorted(modelled) == sorted(KERNEL_APIS)
    assert set(modelled) <= set(Kernel(64 << 20).api)


def test_no_call_is_named_twice() -> None:
    named = [name for names, _, _ in rows() for name in names]
    assert len(named) == len(set(named))
    assert len(named) > 2 * len(KERNEL_APIS)


def test_what_is_not_modelled_has_a_reason() -> None:
    assert all(why for _, yes, why in rows() if not yes)
    assert all(name not in APIS for names, yes, _ in rows() if not yes for name in names)
