"""Calls as they are typed: what is said, what Tab completes, what Ctrl-C and Ctrl-D do."""

from __future__ import annotations

import io
import os
import re
import sys
import time
from pathlib import Path

import pexpect
import pytest
from tests.targets import build

from kmem_oracle.cli import main
from kmem_oracle.commands.common import COULD_NOT_RUN, PASS, VIOLATION
from kmem_oracle.interactive import helps
from kmem_oracle.interactive.complete import complete
from kmem_oracle.language.script import parse
from kmem_oracle.language.syntax import CALLABLE
from kmem_oracle.learn.holdings import Holdings, Thing
from kmem_oracle.learn.promises import demands_of, promises_of
from kmem_spec.apis import APIS
from kmem_spec.clauses import CLAUSES

K = "GFP_KERNEL"
CHAPTER = Path(__file__).parents[2] / "spec" / "script.md"


class Typed:
    """What a session said, line by line, and its exit status."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        lines = [" ".join(line.split()) for line in out.splitlines()]
        self.head = next(place for place, line in enumerate(lines) if "calls judged in" in line)
        self.lines, self.verdict = lines[: self.head], lines[self.head :]
        self.errors = err.splitlines()


@pytest.fixture
def piped(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Piped:
    return Piped(capsys, monkeypatch)


class Piped:
    """Gives lines to a session through a pipe."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, lines: str, *arguments: str) -> Typed:
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
        self._capsys.readouterr()
        status = main(["run", *arguments])
        return Typed(status, *self._capsys.readouterr())


# What is said.


def test_each_line_is_answered(piped: Piped) -> None:
    done = piped(f"a = kmalloc(100, {K})\n\nkfree(a); kfree(NULL)\nkfree(a)\n")
    assert done.status == PASS
    assert done.lines == [
        "0xffff888001000000, 128 bytes usable",
        "3 kfree(a) done",
        "3 kfree(NULL) done",
        "skipped: a ended in line 3; to use it again breaks CALLER-DOUBLE-FREE",
    ]
    assert done.verdict[0].startswith("model: 3 calls judged in ")
    assert done.verdict[-1] == "PASS: no violation"


def test_a_wrong_line_is_one_message_and_changes_nothing(piped: Piped) -> None:
    done = piped(
        f"a = kmalloc(8, {K}); b = kmaloc(8, {K})\nlive\na = kmalloc(8, {K})\nkfree(a[0]); kfree(7)\n"
    )
    assert done.status == COULD_NOT_RUN  # of what nobody typed, nothing may go unread
    assert done.lines == ["nothing lives", "0xffff888001000000, 8 bytes usable"]
    first, _, caret, second, *_ = done.errors
    assert first == "kmem-oracle: line 1, column 29: unknown call kmaloc: did you mean kmalloc?"
    assert caret.index("^") == 4 + 28 - 4 + 4
    assert second == "kmem-oracle: line 2, column 20: 7 is no name for an object"


def test_a_violation_is_said_at_once_and_the_rest_goes_on(piped: Piped) -> None:
    done = piped(f"v = vmalloc(1); kfree(v); a = kmalloc(8, {K})\nkfree(a)\nkfree(v)\n")
    assert done.status == VIOLATION
    assert done.lines[:3] == [
        "1 v = vmalloc(1) 0xffffc90000000000",
        "1 kfree(v) done",
        "VIOLATION of CALLER-FAMILY by the caller",
    ]
    assert done.lines[6].startswith(f"1 a = kmalloc(8, {K}) 0x")
    assert done.lines[7:] == ["done", "skipped: v ended in line 1; to use it again breaks CALLER-DOUBLE-FREE"]
    assert "VIOLATION of CALLER-FAMILY by the caller" in done.verdict


@pytest.mark.needs("cc")
def test_a_target_that_crashes_begins_again(piped: Piped, targets: Path) -> None:
    library = build.library("CRASH_AT_777", directory=targets)
    done = piped(
        f"a = kmalloc(8, {K})\nb = kmalloc(777, {K})\nlive\nkfree(a)\nkfree(NULL)\n", "--on", str(library)
    )
    assert done.status == VIOLATION
    assert done.lines[1].startswith("the call ")
    assert done.lines[2] == "VIOLATION of MEM-RETURNS by the allocator"
    assert done.lines[6:] == [
        "the target has ended; it begins again, and nothing lives",
        "nothing lives",
        "skipped: nothing has made a",
        "done",
    ]
    assert done.verdict[0].startswith(f"{library}: 3 calls judged in ")


def test_a_repeat_may_take_several_lines(piped: Piped) -> None:
    done = piped("repeat 2 {\n  p[i] = vmalloc(1)\n}\nlive\nrepeat 2 {\n\nkfree(NULL)\n")
    assert done.lines == [
        "2 p[i] = vmalloc(1) [i = 0] 0xffffc90000000000",
        "2 p[i] = vmalloc(1) [i = 1] 0xffffc90000002000",
        "p[0] 0xffffc90000000000 line 2: p[i] = vmalloc(1)",
        "p[1] 0xffffc90000002000 line 2: p[i] = vmalloc(1)",
        "done",
    ]
    assert done.errors[0] == "kmem-oracle: line 4, column 1: this repeat is never closed"


def test_arrays_and_names_keep_to_what_they_are(piped: Piped) -> None:
    done = piped(
        f'c = kmem_cache_create("c", 8, 0, 0, NULL)\nkmem_cache_alloc_bulk(c, {K}, 4, p)\n'
        "kmem_cache_free(c, p[3])\nkmem_cache_free_bulk(c, 3, p)\nkmem_cache_free_bulk(c, 5, p)\n"
        f"kfree(p)\na = kmalloc(8, {K})\nkfree_bulk(1, a)\nkfree(c)\nkfree(q[200000])\nkfree_bulk(2, q - 1)\n"
    )
    assert done.lines[1].startswith("4 objects: 0x")
    assert done.lines[2:4] == ["done", "done"]
    assert [error.partition(": ")[2].partition(": ")[2] for error in done.errors[::3]] == [
        "kmem_cache_free_bulk takes p[0] to p[4], but nothing makes p[4]",
        "p is an array: name one of its objects, as in p[0]",
        "a is one object: give the array another name",
        "c is a cache, not an object",
        "an index is a number from 0 to 131070",
        "an index is a number from 0 to 131070",
    ]


def test_what_was_played_can_be_saved_and_begun_again(piped: Piped, tmp_path: Path) -> None:
    file = tmp_path / "saved.kmem"
    done = piped(f"a = kmalloc(8, {K})\nkfre(a)\nkfree(a)\nsave {file}\nreset\nlive\nsave\nsave {tmp_path}\n")
    assert file.read_text(encoding="utf-8") == f"a = kmalloc(8, {K})\nkfree(a)\n"
    assert done.lines[-1] == "nothing lives"
    assert done.errors[3:4] == ["save FILE: writes what was played as a script"]
    assert done.errors[4].startswith(f"kmem-oracle: cannot write {tmp_path}: ")
    assert len(done.errors) == 5


def test_a_script_comes_before_what_is_typed(piped: Piped, tmp_path: Path) -> None:
    file = tmp_path / "first.kmem"
    file.write_text(f"a = kmalloc(8, {K})\nv = vmalloc(1)\n", encoding="utf-8")
    done = piped("vfree(v)\nexit\nkfree(NULL)\n", "-i", str(file))
    assert done.lines[0].startswith(f"1 a = kmalloc(8, {K}) 0x")
    assert done.lines[2:] == ["done"]


@pytest.mark.parametrize("target", ["model", "malloc:"])
def test_typed_calls_come_to_what_they_come_to_in_a_script(piped: Piped, tmp_path: Path, target: str) -> None:
    blocks = re.findall(r"```c\n(.*?)```", CHAPTER.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 1
    for script in blocks:
        file = tmp_path / "script.kmem"
        file.write_text(script, encoding="utf-8")
        one = piped("", "-q", str(file), "--on", target).verdict
        two = piped(script, "--on", target)
        counted = [re.sub(r" in .*/s\)", "", verdict[0]) for verdict in (one, two.verdict)]
        assert counted[0] == counted[1]
        assert (one[-1], two.errors) == ("PASS: no violation", [])
        assert len(parse(script)) > 3


# Help.


def test_help_tells_of_every_call_what_it_promises() -> None:
    for api in CALLABLE.values():
        head, *lines = helps.lines(api.name)
        assert head.removeprefix("a = ").startswith(f"{api.name}(")
        named = [line.split()[0] for line in lines if line.startswith("    ") and line[4] != " "]
        assert named == [*promises_of(api), *demands_of(api)]
        assert bool(named) == (api.family != "driver")


def test_every_clause_is_promised_or_demanded_by_a_call() -> None:
    told = {name for api in APIS.values() for name in (*promises_of(api), *demands_of(api))}
    assert told >= {name for name, clause in CLAUSES.items() if clause.kind != "state"}
    assert "MEM-APART" in told  # of the state's, the one that the judge asks


def test_help_tells_calls_apart() -> None:
    assert "MEM-ZERO" in promises_of(APIS["kzalloc"])
    assert "MEM-ZERO" not in promises_of(APIS["kmalloc"])
    assert "SLAB-ARRAY" in promises_of(APIS["kmalloc_array"])
    assert "SLAB-ARRAY" not in promises_of(APIS["kmalloc"])
    assert demands_of(APIS["vmalloc"]) == ["CALLER-CONTEXT", "CALLER-LEAK"]


@pytest.mark.parametrize(
    ("about", "first"),
    [
        ("MEM-KEEP", "MEM-KEEP: The contents of an allocation change only by its owner."),
        (
            "GFP_KERNEL",
            "GFP_KERNEL is 0xcc0: __GFP_IO | __GFP_FS | __GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM",
        ),
        ("__GFP_ZERO", "__GFP_ZERO is 0x100"),
        ("kmaloc", "no help about kmaloc: did you mean kmalloc"),
        ("zzz", "no help about zzz"),
        ("", "a = kmalloc(100, GFP_KERNEL)"),
    ],
)
def test_help_about_other_things(about: str, first: str) -> None:
    assert helps.lines(about)[0].startswith(first)


def test_the_masks_are_told_apart() -> None:
    assert helps.lines("GFP_ATOMIC")[1].strip().startswith("never sleeps")
    assert helps.lines("GFP_ATOMIC")[1].endswith("may use the reserves")
    assert helps.lines("GFP_KERNEL")[1].strip() == "may sleep"
    assert "gives zeroes" in helps.lines("__GFP_ZERO")[1]
    assert "does not fail" in helps.lines("__GFP_NOFAIL")[1]


# Completion.


def holdings() -> Holdings:
    held = Holdings({1: "abc", 2: "cache", 3: "p[0]", 4: "p[1]", 5: "gone", 6: "mem"})
    for item, kind in ((1, "object"), (2, "cache"), (3, "object"), (4, "object"), (6, "pool")):
        held._things[item] = Thing(kind, "live", 4096, 1, "")
    held._things[5] = Thing("object", "ended", 4096, 1, "")
    return held


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("kmalloc_a", ["kmalloc_array"]),
        ("a = kmalloc_a", ["kmalloc_array"]),
        ("a = kfr", []),
        ("kfree(a); kmalloc_a", ["kmalloc_array"]),
        ("repeat 3 { kmalloc_a", ["kmalloc_array"]),
        ("li", ["live"]),
        ("kfree(", ["NULL", "ZERO_SIZE_PTR", "abc", "p[0]", "p[1]"]),
        ("kfree(a", ["abc"]),
        ("kfree(p[", ["p[0]", "p[1]"]),
        ("kfree(g", []),
        ("kfree_bulk(2, ", ["p"]),
        ("o = kmem_cache_alloc(", ["NULL", "cache"]),
        ("o = mempool_alloc(", ["NULL", "mem"]),
        ("kmem_cache_free(cache, a", ["abc"]),
        ("a = kmalloc(100, GFP_AT", ["GFP_ATOMIC"]),
        ("a = kmalloc(100, GFP_KERNEL | __GFP_ZE", ["__GFP_ZERO"]),
        ("a = kmalloc(GFP_AT", []),
        ('c = kmem_cache_create("c", 8, 0, SLAB_PO', ["SLAB_POISON"]),
        ('c = kmem_cache_create("c", 8, 0, 0, ', ["NULL", "ctor"]),
        ("v = vmap(p, 2, ", ["VM_MAP"]),
        ("v = vmap(p, 2, VM_MAP, ", ["PAGE_KERNEL"]),
        ("kfree(NULL, a", []),
        ("cat /proc/v", ["/proc/vmallocinfo"]),
        ("help MEM-K", ["MEM-KEEP"]),
        ("help kzal", ["kzalloc"]),
    ],
)
def test_what_a_word_may_become(before: str, words: list[str]) -> None:
    start, found = complete(before, holdings(), ["live", "save"])
    assert found == words
    assert all(word.startswith(before[start:]) for word in words)


def test_a_line_may_begin_with_any_call_or_command() -> None:
    _, found = complete("", holdings(), ["live"])
    assert found == sorted({"live", "cat", "repeat", *CALLABLE})


# In a terminal.

FRONTS = [
    pytest.param("xterm", marks=pytest.mark.needs("prompt_toolkit"), id="prompt_toolkit"),
    pytest.param("dumb", id="readline"),
]


def terminal(home: Path, term: str, *arguments: str) -> pexpect.spawn[str]:
    """Return a session in a terminal, after it has greeted."""
    child: pexpect.spawn[str] = pexpect.spawn(
        sys.executable,
        ["-m", "kmem_oracle.cli", "run", *arguments],
        env=os.environ
        | {"TERM": term, "HOME": str(home), "XDG_STATE_HOME": "", "PROMPT_TOOLKIT_NO_CPR": "1"}
        | {"KMEM_ORACLE_DRIVER": "python"},
        encoding="utf-8",
        timeout=120,
        dimensions=(40, 200),
    )
    child.expect("Ctrl-D to end")
    ready(child)
    return child


def ready(child: pexpect.spawn[str]) -> None:
    """Wait until the next line can be typed."""
    child.expect(r">(\x1b\[\d*[A-Z]|\x08| )")
    child.expect(r"(\x1b\[\?25h|)")
    time.sleep(0.1)


def left(child: pexpect.spawn[str]) -> int | None:
    """Leave by Ctrl-D, and return the exit status."""
    child.send("\x04")
    child.expect("calls judged in")
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus


@pytest.mark.needs("pexpect", "linux")
@pytest.mark.parametrize("term", FRONTS)
def test_a_terminal_completes_remembers_and_forgives(tmp_path: Path, term: str) -> None:
    child = terminal(tmp_path, term)
    child.send("abc = kmalloc(100, GFP_AT\t")
    child.expect("OMIC")
    child.send(")\r")
    child.expect("128 bytes usable")
    ready(child)
    child.send("kfree(ab\t")
    child.expect("c")
    child.send(")\r")
    child.expect("done")
    ready(child)
    child.send("half a li")
    child.send("\x03")  # Ctrl-C drops it
    ready(child)
    child.send("kfre(abc)\r")
    child.expect(r" \^ unknown call kfre: did you mean kfree\?")
    ready(child)
    child.send("\x1b[A\x1b[A")  # two lines back
    time.sleep(0.2)
    child.send("\r")
    child.expect("to use it again breaks CALLER-DOUBLE-FREE")
    ready(child)
    assert left(child) == PASS  # what was mistyped was seen, and is no failure
    again = terminal(tmp_path, term)
    again.send("\x1b[A")
    again.expect(r"kfree\(abc\)")
    again.send("\x03")
    ready(again)
    assert left(again) == PASS


@pytest.mark.needs("pexpect", "linux", "cc")
@pytest.mark.parametrize("term", FRONTS)
def test_ctrl_c_ends_a_call_that_hangs(tmp_path: Path, term: str) -> None:
    library = build.shared(
        "void *kmalloc(unsigned long size, unsigned gfp) { static char memory[64];\n"
        "  while (size == 7) ; return memory; }\n"
        "void kfree(const void *p) { (void)p; }\n",
        tmp_path,
    )
    child = terminal(tmp_path, term, "--on", str(library), "--call-time", "60")
    child.send(f"a = kmalloc(8, {K})\r")
    child.expect("0x")
    ready(child)
    child.send(f"b = kmalloc(7, {K})\r")
    time.sleep(1)
    child.send("\x03")
    child.expect("interrupted: the target was ended; it begins again, and nothing lives")
    ready(child)
    child.send("live\r")
    child.expect("nothing lives")
    ready(child)
    assert left(child) == PASS


@pytest.mark.needs("pexpect", "linux")
@pytest.mark.parametrize("term", FRONTS)
def test_a_home_that_cannot_be_written_does_without_a_history(tmp_path: Path, term: str) -> None:
    home = tmp_path / "file"
    home.touch()
    child = terminal(home, term)
    child.send("kfree(NULL)\r")
    child.expect("done")
    ready(child)
    assert left(child) == PASS
