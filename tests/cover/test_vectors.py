"""The vectors: every clause has some, they say what the judge says, and can be read back."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from kmem_oracle.cli import main
from kmem_oracle.reports.about import registry
from kmem_oracle.vectors.presets import presets
from kmem_oracle.vectors.states import states
from kmem_oracle.vectors.write import write
from kmem_spec.apis import APIS
from kmem_spec.area import Sample as AreaSample
from kmem_spec.cache import Sample
from kmem_spec.calls import CONSTRUCTED, DESTRUCTED, Answer, Call, Event, Lost, Note
from kmem_spec.clauses import CLAUSES
from kmem_spec.construct import BuiltSample
from kmem_spec.extents import Spans
from kmem_spec.judge import Judge
from kmem_spec.table import DictTable
from kmem_spec.zone import Blocks, ZoneState

Line = dict[str, int | str]
Vector = tuple[Line, list[Line]]  # the head, and what follows
SEEN = [clause for clause in registry().values() if clause.promises]
STATES = [line for clause in registry().values() for line in states(clause)]
REAL = ("contract", "linux-6.1", "linux-6.12")
NOT_IN_A_TOY = {  # what a machine of 1 MiB is not asked to be full of
    "GFP-ATOMIC-REACH",
    "GFP-USER",
    "GFP-NOFAIL",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder that the command wrote, and what it printed."""
    made = tmp_path_factory.mktemp("vectors") / "set"
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert main(["vectors", str(made)]) == 0
    return made, printed.getvalue()


@pytest.fixture(scope="module")
def folder(written: tuple[Path, str]) -> Path:
    return written[0]


def vectors(path: Path) -> Iterator[Vector]:
    """Read a file as its format says."""
    head: Line | None = None
    body: list[Line] = []
    for line in path.read_text(encoding="ascii").splitlines():
        read: Line = json.loads(line)
        if {"program", "history", "state"} & read.keys():
            if head is not None:
                yield head, body
            head, body = read, []
        elif head is not None:
            body.append(read)
    if head is not None:
        yield head, body


def number(value: int | str) -> int:
    return value if isinstance(value, int) else int(value, 0)


def event_of(line: Line) -> Event | Lost:
    call = Call(str(line["call"]), tuple(number(each) for each in str(line["args"]).split()))
    if "lost" in line:
        return Lost(call, "crashes")
    usable, nonzero, changed, slept = (number(line.get(name, -1)) for name in Answer._fields[1:5])
    kinds = {"constructed": CONSTRUCTED, "destructed": DESTRUCTED}
    split = [note.split(":") for note in str(line.get("notes", "")).split()]
    notes = tuple(Note(kinds[kind], int(cache, 0), int(at, 0)) for kind, cache, at in split)
    return Event(call, Answer(number(line["gives"]), usable, nonzero, changed, slept, notes))


def test_every_line_is_a_flat_object_without_escapes(folder: Path) -> None:
    paths = sorted(folder.rglob("*.jsonl"))
    assert {path.stem for path in paths} == {"programs", "histories", "states"}
    for path in paths:
        for text in path.read_text(encoding="ascii").splitlines():
            assert "\\" not in text
            assert all(type(value) in (int, str) for value in json.loads(text).values())
            assert all(abs(value) < 1 << 53 for value in json.loads(text).values() if isinstance(value, int))


def test_the_same_version_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write(tmp_path, list(registry().values()))
    ours = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.jsonl")}
    assert {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.jsonl")} == ours
    assert len(ours) == 9


def test_names_are_unique_and_begin_with_their_clause(folder: Path) -> None:
    for path in folder.rglob("*.jsonl"):
        names = [
            (str(head.get(path.stem[:-1], head.get("history"))), head["clause"]) for head, _ in vectors(path)
        ]
        assert len({name for name, _ in names}) == len(names) > 0
        assert all(name.startswith(f"{clause}/") and clause in CLAUSES for name, clause in names)


@pytest.mark.parametrize("preset", presets())
def test_a_judge_says_of_every_history_what_it_must(preset: str, folder: Path) -> None:
    path = folder / preset / "histories.jsonl"
    if not path.exists():
        assert preset == "linux-2.6", "which promises nothing beside"
        return
    verdicts: Counter[str] = Counter()
    judge = Judge(presets()[preset])
    for head, lines in vectors(path):
        judge.start_over()
        base = judge.events
        events = [event_of(line) for line in lines]
        found = [judge.lose(each) if isinstance(each, Lost) else judge.admit(each) for each in events]
        broken = [(each.clause, each.event - base) for each in found if each is not None]
        if head.get("at") == "end":
            broken += [(each.clause, -1) for each in judge.leaks()]
            assert broken == [(head["clause"], -1)], head
        else:
            assert broken == ([(head["clause"], head["at"])] if head["verdict"] == "broken" else []), head
        verdicts[str(head["verdict"])] += 1
    assert verdicts.keys() == {"admitted", "broken"}


def test_every_clause_has_histories_of_both_kinds_on_toy_and_real_machines(folder: Path) -> None:
    had: dict[tuple[str, str], set[str]] = {}
    for preset in ("toy", *REAL):
        for head, _ in vectors(folder / preset / "histories.jsonl"):
            kind = "toy" if preset == "toy" else "real"
            had.setdefault((str(head["clause"]), kind), set()).add(str(head["verdict"]))
    for clause in SEEN:
        zones = clause.id == "PAGE-ZONE"  # no real preset says where its zones end
        assert zones or had[clause.id, "real"] == {"admitted", "broken"}, clause.id
        if "contract" in clause.promises:
            assert had[clause.id, "toy"] == {"admitted", "broken"}, clause.id


def test_every_clause_has_programs(folder: Path) -> None:
    real = {str(head["clause"]) for preset in REAL for head, _ in vectors(folder / preset / "programs.jsonl")}
    toy = {str(head["clause"]) for head, _ in vectors(folder / "toy" / "programs.jsonl")}
    assert real == {clause.id for clause in SEEN}
    assert toy == {clause.id for clause in SEEN if "contract" in clause.promises} - NOT_IN_A_TOY


def test_programs_and_histories_come_by_every_call(folder: Path) -> None:
    called = {
        str(line["call"])
        for path in folder.rglob("*.jsonl")
        for _, lines in vectors(path)
        for line in lines
        if "call" in line
    }
    assert called <= APIS.keys()
    assert APIS.keys() - called <= {"fail_nth"}


def test_alternatives_are_allowed(folder: Path) -> None:
    """No address is due but ZERO_SIZE_PTR, and memory may be refused wherever that is legal."""
    lines = [line for _, body in vectors(folder / "contract" / "programs.jsonl") for line in body]
    makers = [line for line in lines if line.get("gives") in ("object", "page")]
    assert {line["at"] for line in makers if "at" in line} == {16}
    policies = Counter(line["null"] for line in makers)
    assert policies["may"] > policies["must"] > policies["no"] > 0


def tables(line: Line) -> tuple[object, ...]:
    """Return what the predicate of a state is given."""
    points = [int(each) for each in str(line["points"]).split()]
    groups: list[dict[str, object]] = [{}, {}]
    for key, value in line.items():
        if key not in ("state", "clause", "holds", "points"):
            second = key.endswith("2")
            text = str(value)
            pairs = re.fullmatch(r"(\d+:-?\d+( |$))+", text) or text == ""
            known = (
                {int(pair.split(":")[0]): int(pair.split(":")[1]) for pair in text.split()}
                if pairs
                else value
            )
            groups[second][key[:-1] if second else key] = known
    samples = [sample(group) for group in groups if group]
    if line["clause"] == "SLAB-PAGES":
        return samples[0], points[0], samples[1], points[1]
    waits = line["clause"] == "SLAB-LIVE"
    return (*samples, *(points[:-1] if waits else points), *([bool(points[-1])] if waits else []))


def sample(fields: dict[str, object]) -> object:
    """Return the tables of a zone, a cache or the vmalloc space."""

    def table(name: str) -> dict[int, int]:
        found = fields[name]
        assert isinstance(found, dict)
        return found

    if "nfree" in fields:
        zone = {name: int(str(fields[name])) for name in ("start", "end", "nfree")}
        return ZoneState(
            "NORMAL", zone["start"], zone["end"], Blocks(table("free")), Blocks(table("used")), zone["nfree"]
        )
    others = {name: DictTable(value) if isinstance(value, dict) else value for name, value in fields.items()}
    if "areas" in fields:
        return AreaSample(**{**others, "areas": Spans(table("areas"))})  # type: ignore[arg-type]  # as written
    return (BuiltSample if "built" in fields else Sample)(**others)  # type: ignore[arg-type]  # as written


@pytest.mark.parametrize("line", STATES, ids=lambda line: str(line["state"]))
def test_a_state_is_what_it_says(line: Line) -> None:
    """The predicate, given the tables as they are read back, holds or does not."""
    clause = CLAUSES[str(line["clause"])]
    arguments = tables(line)
    assert clause.applies(*arguments)
    assert bool(clause.holds(*arguments)) == bool(line["holds"])


def test_every_clause_of_a_state_has_one_that_holds_and_one_that_does_not() -> None:
    kinds = {(str(line["clause"]), line["holds"]) for line in STATES}
    within = {clause.id for clause in registry().values() if clause.kind == "state"}
    assert kinds == {(clause, holds) for clause in within for holds in (0, 1)}


def test_the_format_shows_what_the_command_prints(written: tuple[Path, str]) -> None:
    shown = (Path(__file__).parents[2] / "spec" / "vectors.md").read_text(encoding="utf-8")
    assert written[1].strip() in shown


def test_a_folder_that_cannot_be_written_is_said_to_be_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["vectors", str(tmp_path / "file")]) == 2
    assert re.fullmatch(r"kmem-oracle: cannot write .*file.*: .+\n", capsys.readouterr().err)
