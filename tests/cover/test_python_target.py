"""Python objects as targets: judged as libraries are; what they raise is a finding."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.cover.behind import NONE
from tests.targets.of_python import Toy

from kmem_oracle.campaign.campaign import campaign
from kmem_oracle.campaign.course import Budget
from kmem_oracle.campaign.play import Play, Playing, play
from kmem_oracle.cli import main
from kmem_oracle.commands.common import COULD_NOT_RUN, PASS, VIOLATION
from kmem_oracle.language.script import Op, parse
from kmem_oracle.learn.compare import compare
from kmem_oracle.targets.by_bytes import CONTENTS
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.target import CouldNotRun, Target
from kmem_spec.clauses import CLAUSES
from kmem_spec.judge import Judge
from kmem_spec.profile import load

HERE = "tests.targets.of_python"
FILE = Path(__file__).parent.parent / "targets" / "of_python.py"
DIRTY = "a = kmalloc(64, GFP_KERNEL); kfree(a); b = kmalloc(64, GFP_KERNEL | __GFP_ZERO)"


def python(name: str) -> Target:
    return Target("python", name, f"python:{name}")


def played(name: str, script: str) -> Play:
    with Worker(call_seconds=1.0, memory_limit=0) as worker:
        return play(worker, python(f"{HERE}:{name}"), parse(script), Judge(load("contract"), looked=True))


def declined(name: str) -> str:
    with Worker(call_seconds=1.0, memory_limit=0) as worker, pytest.raises(CouldNotRun) as caught:
        worker.open(python(name))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"python:{name}: ")
    return message.removeprefix(f"python:{name}: ")


# What is judged.


@pytest.mark.parametrize("where", [HERE, str(FILE)])
def test_a_class_is_a_target_by_module_and_by_file(where: str) -> None:
    budget = Budget(calls=3000, seconds=60)
    target = python(f"{where}:Toy")
    done = campaign(target, profile="", seed=1, budget=budget, waived=NONE, progress=lambda *_: None)
    assert done.play is None
    assert done.calls >= 3000
    assert done.apis == {"kmalloc", "kfree", "__get_free_pages", "free_pages"}
    assert done.counts["MEM-KEEP"] > 0


def test_a_mapping_of_the_models_calls_does_what_the_model_does() -> None:
    script = """
    c = kmem_cache_create("c", 40, 8, 0, ctor); kmem_cache_alloc_bulk(c, GFP_KERNEL, 5, p)
    kmem_cache_free_bulk(c, 5, p); kmem_cache_destroy(c)
    a = kmalloc(5000, GFP_KERNEL | __GFP_ZERO); s = kstrdup(a, GFP_KERNEL); check(s); kfree(s); kfree(a)
    alloc_pages_bulk(GFP_KERNEL, 3, b); v = vmap(b, 3, VM_MAP, PAGE_KERNEL); vunmap(v)
    m = mempool_create(4, mempool_alloc_kmalloc, mempool_free_kmalloc, 64)
    mempool_fail(m, 1); f = mempool_alloc(m, GFP_NOWAIT); mempool_free(f, m); mempool_destroy(m)
    """
    targets = (python(f"{HERE}:model"), Target("model", "", "model"))
    sides = compare(targets, parse(script), profile="", budget=Budget(), waived=NONE)
    assert [side.finding for side in sides.sides] == [None, None]
    assert [side.profile for side in sides.sides] == ["linux-6.1", "linux-6.1"]
    assert (sides.partings, sides.lacking) == ((), ())


def test_without_access_addresses_alone_are_judged() -> None:
    budget = Budget(calls=1000, seconds=60)
    target = python(f"{HERE}:Blind")
    done = campaign(target, profile="", seed=1, budget=budget, waived=NONE, progress=lambda *_: None)
    assert done.play is None
    assert done.counts["MEM-APART"] > 0
    assert CLAUSES.keys() > CONTENTS
    assert not CONTENTS & done.counts.keys()
    lazy = played("Lazy", DIRTY)
    assert lazy.finding is not None
    assert lazy.finding.clause == "GFP-ZERO"


def test_sleep_is_judged_where_the_object_tells_of_it() -> None:
    done = played("Sleepy", "a = kmalloc(64, GFP_KERNEL); b = kmalloc(64, GFP_ATOMIC)")
    assert done.finding is not None
    assert done.finding.clause == "GFP-SLEEP"
    assert len(done.ops) == 2


# What goes wrong.


@pytest.mark.parametrize(
    ("name", "size", "seen"),
    [
        ("Broken", 1, r"raised KeyError: 'one\nis too few' (of_python.py, line "),
        ("Broken", 2, "raised SystemExit: 3 (of_python.py, line "),
        ("Broken", 3, "did not return within"),
        (
            "Wild",
            8,
            "gave memory that cannot be used: touching it raised IndexError: bytearray index out of range",
        ),
    ],
)
def test_what_does_not_come_back_is_a_finding(name: str, size: int, seen: str) -> None:
    done = played(name, f"kfree(NULL); a = kmalloc({size}, GFP_KERNEL)")
    assert done.finding is not None
    assert done.finding.clause == "MEM-RETURNS"
    assert seen in done.finding.message
    assert len(done.ops) == 2


@pytest.mark.parametrize(
    ("size", "shown"), [(4, "'four'"), (5, "-1"), (6, "18446744073709551616"), (7, "7.0")]
)
def test_what_is_no_address_is_one_line(size: int, shown: str) -> None:
    with pytest.raises(CouldNotRun, match=f"kmalloc returned {shown}, which it cannot return$"):
        played("senseless", f"a = kmalloc({size}, GFP_KERNEL)")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no.such.module:make", "loading it raised ModuleNotFoundError: No module named 'no'"),
        ("no/such/file.py:make", "loading it raised FileNotFoundError: "),
        (f"{HERE}:missing", f"loading it raised AttributeError: module '{HERE}' has no attribute 'missing'"),
        (f"{HERE}:raising", "loading it raised ValueError: not today (of_python.py, line "),
        (f"{HERE}:nothing", "object has none of the kernel's calls"),
        (HERE, "names no object: write python:package.module:factory"),
        (f"{HERE}:", "names no object"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(name: str, why: str) -> None:
    assert declined(name).startswith(why)


def test_the_command_line_takes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "dirty.kmem"
    script.write_text(DIRTY, encoding="utf-8")
    runs = [
        main(["run", str(script), "--on", f"python:{HERE}:{name}"]) for name in ("Toy", "Lazy", "senseless")
    ]
    assert runs == [PASS, VIOLATION, COULD_NOT_RUN]
    out, err = capsys.readouterr()
    assert "VIOLATION of GFP-ZERO" in out
    assert err == (
        f"kmem-oracle: python:{HERE}:senseless: kmalloc returned 'nothing', which it cannot return\n"
    )


def test_what_was_found_is_told_though_the_next_phase_cannot_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    class Once(Playing):
        """Calls on their way to a target that can be loaded once."""

        def __init__(self, worker: Worker, target: Target, ops: Iterable[Op], deadline: float) -> None:
            begun.append(target)
            if len(begun) > 1:
                raise CouldNotRun("not again")
            super().__init__(worker, target, ops, deadline)

    monkeypatch.setattr("kmem_oracle.campaign.pipeline.Playing", Once)
    monkeypatch.setattr(Worker, "is_ready", lambda worker, target: worker.load(target) or True)
    budget = Budget(calls=100_000, seconds=60, shrink=0.5)
    done = campaign(
        python(f"{HERE}:Lazy"), profile="", seed=1, budget=budget, waived=NONE, progress=lambda *_: None
    )
    assert len(begun) == 2
    assert done.play is not None
    begun.clear()
    with pytest.raises(CouldNotRun, match="not again"):
        campaign(
            python(f"{HERE}:Toy"), profile="", seed=1, budget=budget, waived=NONE, progress=lambda *_: None
        )


def test_names_that_begin_with_two_underscores_are_found() -> None:
    assert "__get_free_pages" not in vars(Toy)  # Python has given it another name
    assert played("Toy", "p = __get_free_pages(GFP_KERNEL, 2); free_pages(p, 2)") == Play(2)
