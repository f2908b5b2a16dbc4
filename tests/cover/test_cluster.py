"""A campaign on a cluster of a real scheduler and two workers, some of which die in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from tests.cover.behind import MARK, gone
from tests.targets import build

from kmem_oracle.campaign import cluster, slices
from kmem_oracle.campaign.campaign import campaign
from kmem_oracle.campaign.cluster import in_cluster
from kmem_oracle.campaign.course import Budget, Course, Share
from kmem_oracle.campaign.result import Progress, Result
from kmem_oracle.cli import main
from kmem_oracle.targets.target import CouldNotRun, Target

pytestmark = pytest.mark.needs("distributed", "linux")
NONE: Final[frozenset[str]] = frozenset()
MODEL: Final = Target("model", "64", "model:64")
START_SECONDS: Final = 30.0


class Dask:
    """A scheduler and its workers, all on 127.0.0.1."""

    def __init__(self, folder: Path, mark: str) -> None:
        self._folder = folder
        self._environment = os.environ | {MARK: mark, "DASK_TEMPORARY_DIRECTORY": str(folder)}
        self._file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(self._file))
        end = time.monotonic() + START_SECONDS
        while not self._file.exists() or not self._file.read_text(encoding="utf-8").endswith("}"):
            assert time.monotonic() < end, "the scheduler did not come up"
            time.sleep(0.05)
        self.address = f"dask:{json.loads(self._file.read_text(encoding='utf-8'))['address']}"
        self.workers = [self.worker(), self.worker()]

    def worker(self) -> subprocess.Popen[bytes]:
        return self._start("worker", "--scheduler-file", str(self._file), "--no-nanny", "--nthreads", "1")

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", what, "--host", "127.0.0.1", "--no-dashboard", *options]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=self._folder,
                start_new_session=True,
            )


@contextmanager
def started(folder: Path) -> Iterator[Dask]:
    """Start a cluster; none of its processes stays behind, nor any that they started."""
    mark = uuid.uuid4().hex
    dask = Dask(folder, mark)
    try:
        yield dask
    finally:
        dask.end()
        assert gone(mark)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    """Give a cluster for all tests that leave it as it is."""
    with started(tmp_path_factory.mktemp("lasting")) as dask:
        yield dask


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Dask]:
    """Give a cluster of which parts may be killed."""
    with started(tmp_path) as dask:
        yield dask


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut campaigns into many small slices."""
    monkeypatch.setattr(slices, "PHASES", 4)


def quiet(_phase: str, _result: Result) -> None:
    """Show nothing."""


def at_first(act: Callable[[], object]) -> Progress:
    """Return a progress that acts once, when the first slices are in."""
    acts = [act]

    def progress(_phase: str, _result: Result) -> None:
        if acts:
            acts.pop()()

    return progress


def one(target: Target, budget: Budget, course: Course) -> Result:
    return campaign(target, profile="", seed=1, budget=budget, waived=NONE, progress=quiet, course=course)


def many(dask: Dask, target: Target, budget: Budget, course: Course, progress: Progress = quiet) -> Result:
    share = Share(target, budget=budget, course=course)
    return in_cluster(share, cluster=dask.address, progress=progress)


def told(result: Result) -> list[tuple[str, str, int, int, tuple[object, ...]]]:
    """Return the findings: clause, phase, its index, how often, the script."""
    return [
        (each.play.finding.clause, each.phase, each.index, each.times, each.play.told)
        for each in result.found
        if each.play.finding is not None
    ]


@pytest.mark.needs("cc")
def test_a_worker_that_is_killed_and_one_that_comes_change_no_finding(mortal: Dask, targets: Path) -> None:
    library = build.library("KMALLOC_ZERO_NULL", directory=targets)
    target = Target("library", str(library), "mine")
    budget, course = Budget(calls=60_000, seconds=120, shrink=30), Course(keep_going=True)

    def die() -> None:
        mortal.workers[0].kill()
        mortal.workers.append(mortal.worker())

    expected = one(target, budget, course)
    result = many(mortal, target, budget, course, at_first(die))
    assert mortal.workers[0].wait() == -signal.SIGKILL
    assert told(result) == told(expected) != []
    assert len(result.found) > 1
    assert (result.calls, result.counts) == (expected.calls, expected.counts)
    assert not result.interrupted


@pytest.mark.needs("cc")
def test_the_first_violation_is_that_of_one_machine(lasting: Dask, targets: Path) -> None:
    target = Target("library", str(build.library("FULL_SLAB_LOST", directory=targets)), "mine")
    budget = Budget(calls=200_000, seconds=120, shrink=30)
    expected = one(target, budget, Course())
    result = many(lasting, target, budget, Course())
    assert told(result) == told(expected) != []
    assert (result.calls, result.counts) == (expected.calls, expected.counts)


def test_the_calls_and_clauses_are_those_of_one_machine(lasting: Dask) -> None:
    budget = Budget(calls=15_000, seconds=120)
    expected = one(MODEL, budget, Course(table=True))
    result = many(lasting, MODEL, budget, Course(table=True))
    assert (result.calls, result.counts, result.found) == (15_000, expected.counts, [])
    assert result.by_phase == expected.by_phase


def test_ctrl_c_keeps_what_was_judged(lasting: Dask) -> None:
    interrupt = at_first(lambda: signal.raise_signal(signal.SIGINT))
    result = many(lasting, MODEL, Budget(calls=10_000_000), Course(), interrupt)
    assert result.interrupted
    assert 0 < result.calls < 10_000_000


def test_the_time_ends_it(lasting: Dask) -> None:
    begin = time.monotonic()
    result = many(lasting, MODEL, Budget(calls=10_000_000, seconds=3), Course())
    assert time.monotonic() - begin < 30
    assert not result.interrupted
    assert 0 < result.calls < 10_000_000


def test_a_target_that_a_worker_does_not_have_is_one_line(lasting: Dask) -> None:
    with pytest.raises(
        CouldNotRun, match=r"^worker tcp://\S+ has no /nowhere/lib\.so: a target is at the same"
    ):
        many(lasting, Target("library", "/nowhere/lib.so", "mine"), Budget(), Course())


@pytest.mark.needs("cc")
def test_a_cluster_that_is_lost_keeps_what_was_found(
    mortal: Dask,
    targets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(slices, "WITHOUT_SECONDS", 2.0)
    library = str(build.library("KMALLOC_ZERO_NULL", directory=targets))
    monkeypatch.setattr("kmem_oracle.commands.check.Bar", lambda *_, **__: Killing(mortal))
    report = tmp_path / "report.json"
    options = ["--keep-going", "--calls", "10000000", "--json", str(report)]
    status = main(["check", library, "--cluster", mortal.address, *options])
    out, err = capsys.readouterr()
    assert (status, err.count("\n")) == (1, 1)
    assert "the cluster is lost: the scheduler is gone" in err
    assert "VIOLATION of SLAB-ZERO-SIZE" in out
    assert json.loads(report.read_text(encoding="utf-8"))["verdict"] == "violation"


class Killing:
    """A line of progress that kills the scheduler as soon as something is found."""

    def __init__(self, dask: Dask) -> None:
        self._dask = dask

    def __call__(self, _phase: str, result: Result) -> None:
        if result.found:
            self._dask.scheduler.kill()

    def clear(self) -> None:
        """Leave nothing behind."""


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("dask:tcp://127.0.0.1:1", "no scheduler of Dask answers there"),
        ("dask:nonsense://127.0.0.1:1", "no scheduler of Dask answers there: unknown address scheme"),
        ("dask:", "unknown cluster 'dask:'"),
        ("slurm:here", "unknown cluster 'slurm:here': a cluster is dask:ADDRESS"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_line(
    address: str, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1.0)
    status = main(["check", "model:64", "--cluster", address])
    err = capsys.readouterr().err
    assert (status, err.count("\n")) == (2, 1)
    assert line in err


def test_without_distributed_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["check", "model:64", "--cluster", "dask:127.0.0.1:1"]) == 2
    install = "install it with `pip install 'kmem-oracle[cluster]'`"
    assert capsys.readouterr().err == f"kmem-oracle: --cluster needs distributed: {install}\n"


@pytest.mark.parametrize("more", [["--jobs", "2"], ["--threads", "2"], ["--state", "somewhere"]])
def test_options_that_do_not_go_with_it_are_one_line(
    more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "model:64", "--cluster", "dask:127.0.0.1:1", *more]) == 2
    assert capsys.readouterr().err == f"kmem-oracle: --cluster does not go together with {more[0]}\n"
