"""Chapters, registry, manifest, mutants and tests say the same: no clause without any of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests import fill_chapters
from tests.machines import inside, test_judge_pairing, test_kernel_machine
from tests.machines.machines import ZONED
from tests.machines.subjects import ModelSubject
from tests.targets import build

from kmem_oracle.campaign.play import DRIVERS, runnable
from kmem_oracle.language import told
from kmem_oracle.language.script import parse
from kmem_oracle.learn import chapters
from kmem_oracle.learn.chapters import Section, sections
from kmem_oracle.targets.reader import Reader
from kmem_oracle.vectors.presets import presets
from kmem_proofs import known
from kmem_proofs.catalogue import catalogue, manifest
from kmem_spec.calls import Event
from kmem_spec.clauses import CLAUSES
from kmem_spec.judge import Judge
from kmem_spec.profile import Profile

REPOSITORY = Path(__file__).parents[2]
SECTIONS = list(sections().values())
SEEN = [each for each in SECTIONS if any(broken.history for broken in each.broken)]
HISTORIES = [(each, broken) for each in SEEN for broken in each.broken]
IDS = [f"{each.clause}: {broken.says[:40]}" for each, broken in HISTORIES]
QUIET = {  # clauses that were not due, which is what the history shows
    "SLAB-ALIGN-POWER",
    "SLAB-REALLOC-ZERO",
    "GFP-SLEEP",
    "GFP-ATOMIC-REACH",
    "CALLER-DOUBLE-FREE",
    "CALLER-FAMILY",
}
TELLS_OF_ITSELF = {"CALLER-LEAK"}  # what did not happen: found at the end, by no call

# Clauses with neither a mutant of proved code nor a fault of their own: only a call that crashes can break
# them, and the histories of the chapters stand in.
FAULTLESS = {"SLAB-FREE-NULL", "PAGE-FREE-NULL", "VM-FREE-NULL", "CACHE-DESTROY-NULL", "POOL-NULL"}
FAULTY = {name for fault in test_judge_pairing.FAULTS for name in fault.clauses}
FAULTY |= {name for clauses in build.clauses().values() for name in clauses}


def profile_of(section: Section, name: str) -> Profile:
    """Return the profile that a history is judged by: that named, or `contract`."""
    if name:
        return presets()[name]
    return presets()["contract"]


def test_every_clause_has_a_section_and_every_section_a_clause() -> None:
    assert sections().keys() == CLAUSES.keys()
    assert len(SECTIONS) >= 101


@pytest.mark.parametrize("section", SECTIONS, ids=lambda each: each.clause)
def test_a_section_has_its_sentence_prose_an_example_and_what_breaks_it(section: Section) -> None:
    clause = CLAUSES[section.clause]
    assert section.sentence == clause.sentence
    assert section.prose
    assert section.example
    assert section.broken
    within = clause.kind == "state" and not clause.promises
    assert all(bool(broken.history) != within for broken in section.broken), "a state has no history"
    assert all(broken.says for broken in section.broken)


@pytest.mark.parametrize("path", fill_chapters.paths(), ids=lambda path: path.stem)
def test_the_chapter_is_filled_in_from_the_registry(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert fill_chapters.filled(text).rstrip() + "\n" == text, "run python -m tests.fill_chapters"


def test_the_list_of_mutants_is_that_of_the_obligations() -> None:
    assert fill_chapters.MUTANTS.read_text(encoding="utf-8") == known.write(catalogue().values())
    assert [each.name for each in known.obligations()] == manifest()
    assert all(each.mutants for each in known.obligations())


@pytest.mark.parametrize("section", SECTIONS, ids=lambda each: each.clause)
def test_a_clause_is_proved_or_the_chapter_says_why_not(section: Section) -> None:
    assert bool(known.of_clause(section.clause)) != bool(section.unproved)


def test_every_clause_can_fail() -> None:
    """By a mutant of proved code, a faulty kernel, a fault of the C library, or a mistake of the machines."""
    mutated = {each.clause for each in known.obligations() if each.mutants}
    mistakes = {clause.id for clause in CLAUSES.values() if clause.who == "caller"}
    assert CLAUSES.keys() - mutated - FAULTY - mistakes == FAULTLESS
    assert all(broken.history for name in FAULTLESS for broken in sections()[name].broken)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda each: each.clause)
def test_a_machine_comes_by_every_clause(section: Section) -> None:
    """What the machines must come by is asserted where they run, in test_kernel_machine."""
    due = {clause.id for clause in ZONED.clauses()} | test_kernel_machine.STATE
    mistakes = {clause.id for clause in CLAUSES.values() if clause.who == "caller"}
    assert section.clause in due | mistakes | test_kernel_machine.UNSEEN.keys()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda each: each.clause)
def test_the_tests_that_a_chapter_names_are_there_and_name_the_clause(section: Section) -> None:
    paths = section.facts["tested"].split(", ")
    assert paths != [""]
    for path in paths:
        assert f'"{section.clause}"' in (REPOSITORY / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("section", SECTIONS, ids=lambda each: each.clause)
def test_the_example_is_legal_on_the_model(section: Section) -> None:
    """Every answer is admitted, every table keeps its rules after every call, nothing is left."""
    subject = ModelSubject()
    judges = [Judge(each) for each in presets().values() if each.name.startswith(("contract", "linux-6"))]
    judges.append(Judge(ZONED))
    reader = Reader()
    tables: set[str] = set()
    may_fail = "until there are none" in section.example
    for op in runnable(parse(section.example), subject.apis.union(DRIVERS)):
        records, notes, _ = subject.run([op])
        reader.begin(notes)
        event = reader.event(op, records[0])
        if event is None:
            assert may_fail, f"{op} was skipped"
            continue
        assert [judge.take(*event) for judge in judges] == [None] * len(judges), op
        broken, judged = subject.broken()
        assert broken == [], op
        tables |= judged
    assert [judge.leaks() for judge in judges] == [[]] * len(judges)
    times = sum(judge.counts().get(section.clause, 0) for judge in judges)
    elsewhere = CLAUSES[section.clause].who == "caller" or section.clause in test_kernel_machine.UNSEEN
    assert times > 0 or section.clause in tables or elsewhere, "the example does not come by its clause"


@pytest.mark.parametrize(("section", "broken"), HISTORIES, ids=IDS)
def test_what_breaks_a_clause_is_rejected_by_it_and_by_its_last_line(
    section: Section, broken: chapters.Told
) -> None:
    history = told.events(broken.history)
    at_end = section.clause in TELLS_OF_ITSELF
    found = told.judged(history, profile_of(section, broken.profile), ends=at_end)
    assert [each.clause for each in found] == [section.clause], found
    behind = history[found[0].event + 1 :]
    assert all(isinstance(each, Event) and each.call.api == "item" for each in behind)  # objects of a bulk
    assert (found[0].event == len(history)) == at_end


LEGAL = [(each, legal) for each in SECTIONS for legal in each.legal]


@pytest.mark.parametrize(("section", "legal"), LEGAL, ids=[each.clause for each, _ in LEGAL])
def test_what_looks_like_a_fault_and_is_none_is_admitted(section: Section, legal: chapters.Told) -> None:
    assert len(LEGAL) >= 15
    judge = Judge(profile_of(section, legal.profile))
    for event in told.events(legal.history):
        assert isinstance(event, Event)
        assert judge.admit(event) is None
    assert judge.counts().get(section.clause, 0) > 0 or section.clause in QUIET


@pytest.mark.parametrize(("section", "broken"), HISTORIES, ids=IDS)
def test_a_judge_without_the_clause_does_not_name_it(section: Section, broken: chapters.Told) -> None:
    history = told.events(broken.history)
    found = told.judged(history, profile_of(section, broken.profile), waived=frozenset({section.clause}))
    assert section.clause not in {each.clause for each in found}


@pytest.mark.parametrize("section", SEEN, ids=lambda each: each.clause)
def test_what_is_not_promised_breaks_nothing(section: Section) -> None:
    """What only some versions promise is admitted by `contract`."""
    for broken in section.broken:
        if broken.profile and "contract" not in CLAUSES[section.clause].promises:
            assert told.judged(told.events(broken.history), presets()["contract"]) == []


def test_a_clause_of_the_inside_is_judged_within_the_machines() -> None:
    within = {each.clause for each in SECTIONS} - {each.clause for each in SEEN}
    assert within - test_kernel_machine.UNSEEN.keys() == {
        *inside.OF_ZONES,
        *inside.OF_SLABS,
        *inside.OF_SLOTS,
        *inside.OF_AREAS,
    }


@pytest.mark.parametrize("chapter", chapters.NAMES)
def test_the_links_of_a_chapter_lead_somewhere(chapter: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", chapters.text_of(chapter)):
        assert (REPOSITORY / "spec" / link).is_file(), link


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = kmalloc(8, GFP_KERNEL)", "say what it gives"),
        ("a = kmalloc(8, GFP_KERNEL)  # gives memory", "cannot read 'gives memory'"),
        ("kfree(NULL); kfree(NULL)", "2 calls on 1 lines"),
        ("repeat 3 {\nkfree(NULL)", "is never closed"),
        ("a = kmalloc(8, GFP_KERNEL)  # gives 0x1000, constructs 0x1000 for c", "there is no cache c"),
    ],
)
def test_a_history_that_cannot_be_read_is_said_to_be_so(text: str, message: str) -> None:
    with pytest.raises(told.ToldError, match=re.escape(message)):
        told.events(text)


def test_a_history_is_events_with_addresses() -> None:
    history = told.events("a = kmalloc(8, GFP_KERNEL)  # gives 0x1000, usable 16, did not sleep\nkfree(a)")
    assert [type(each) for each in history] == [Event, Event]
    assert [each.call.args for each in history] == [(8, 0xCC0), (0x1000,)]
    first = history[0]
    assert isinstance(first, Event)
    assert first.answer[:5] == (0x1000, 16, -1, -1, 0)
