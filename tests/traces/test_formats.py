"""One run of a machine, as each recorder writes it: the same verdict, and no violation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.traces import synthetic
from tests.traces.conftest import head
from tests.traces.synthetic import BASE, Event, machine_events
from tests.traces.telling import Told, brief

Format = Callable[[list[Event]], list[str]]
FORMATS = [synthetic.ftrace, synthetic.trace_cmd, synthetic.perf, synthetic.old]
SECRET = 0xFFFF9D3A40000000  # where KASLR put the direct map
SHARE = 100  # one line in so many may be a suspect


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("form", FORMATS)
def test_a_legal_machine_breaks_nothing(told: Told, form: Format, seed: int) -> None:
    events = machine_events(seed, 4000, skip=700)
    summary = told(*form(events), profile="linux-6.1")
    assert summary.of("violation") == []
    assert len(summary.findings) * SHARE <= summary.lines
    assert summary.garbled == 0
    assert summary.count == sum("vmap" not in each.name or form is not synthetic.old for each in events)


@pytest.mark.parametrize("form", FORMATS)
def test_the_direct_map_is_found_wherever_it_is(told: Told, form: Format) -> None:
    for base in (BASE, SECRET):
        summary = told(*form(machine_events(3, 3000, base=base)), profile="linux-6.1")
        assert summary.page_offset == base
        assert summary.of("violation") == []


def test_a_machine_recorded_from_birth_on_is_judged_whole(told: Told) -> None:
    events = machine_events(5, 3000)
    summary = told(*synthetic.ftrace(events))
    assert not any("areas" in reason for reason in summary.unjudged)
    given = [each.fields for each in events if each.name in ("kmalloc", "kmem_cache_alloc")]
    assert summary.asked == sum(int(fields["bytes_req"]) for fields in given)
    assert summary.given == sum(int(fields["bytes_alloc"]) for fields in given)
    taken = {"kfree", "kmem_cache_free"}
    live: dict[int, int] = {}
    for each in events:
        if each.name in ("kmalloc", "kmem_cache_alloc"):
            live[int(each.fields["ptr"])] = int(each.fields["bytes_alloc"])
        elif each.name in taken:
            live.pop(int(each.fields["ptr"]), None)
    assert summary.live_objects == len(live)
    assert sum(site.live_bytes for site in summary.sites) == sum(live.values())
    last = summary.samples[-1]
    assert last.kmalloc + last.caches <= 2 * sum(live.values())


def test_formats_give_the_same_findings(told: Told) -> None:
    events = machine_events(1, 3000, skip=300)
    both = [brief(told(*form(events)).findings) for form in (synthetic.perf, synthetic.ftrace)]
    heads = 3  # lines before the first event of ftrace text
    moved = [(c, s, line - heads, tuple(other - heads for other in others)) for c, s, line, others in both[1]]
    assert both[0] == moved


def test_a_perf_script_with_call_chains(told: Told) -> None:
    events = [
        "worker     7 [000]     7.000001: kmem:kmalloc: (f+0x1) call_site=0xffffffff81234567 "
        "ptr=0xffff888001234000 bytes_req=64 bytes_alloc=64 gfp_flags=GFP_KERNEL",
        "        ffffffff81234567 f+0x1 ([kernel.kallsyms])",
        "",
        "worker  7 [000]     7.000002: kmem:kfree: (g+0x1) call_site=0xffffffff8123 ptr=0xffff888001234000",
        "        ffffffff81234567 g+0x1 ([kernel.kallsyms])",
        "",
        "worker  7 [000]     7.000003: kmem:kfree: (g+0x1) call_site=0xffffffff8123 ptr=0xffff888001234000",
    ]
    summary = told(*events)
    assert summary.kind == "perf"
    assert brief(summary.findings) == [("CALLER-DOUBLE-FREE", "suspect", 7, (1, 4))]


@pytest.mark.parametrize("recorder", ["trace-cmd", "perf"])
def test_what_a_6_18_kernel_did_breaks_nothing(told: Told, recorder: str) -> None:
    lines = head(f"{recorder}-6.18")
    summary = told(*lines)
    assert summary.kind == recorder
    assert summary.garbled == 0
    assert summary.judged > len(lines) // 3
    assert summary.of("violation") == []
    assert 0 < len(summary.of("suspect")) < len(lines) // SHARE


def test_perf_loses_events_without_a_mark(told: Told) -> None:
    """In the recorded piece a page goes out twice: its free, on the way out of an interrupt, is missing."""
    alone = [line for line in head("perf-6.18") if "=0x1942db " in line]
    summary = told(*alone)
    [found] = summary.findings
    assert brief([found]) == [("MEM-APART", "suspect", 4, (3,))]
    assert found.explained == "events that perf lost, which it need not mark"
    elsewhere = [line.replace("kmem:", "") for line in alone]
    assert brief(told(*elsewhere).findings) == [("MEM-APART", "violation", 4, (3,))]


def test_other_events_between_do_not_matter(told: Told, piece: list[str]) -> None:
    other = "            bash-99      [000] d..2.     7.6: sched_switch: prev_comm=bash ==> next_comm=x"
    mixed = [line for each in piece[:3000] for line in (each, other)]
    both = told(*mixed), told(*piece[:3000])
    assert both[0].judged == both[1].judged > 2000
    assert both[0].events == both[1].events
    assert both[0].garbled == both[1].garbled == 0
