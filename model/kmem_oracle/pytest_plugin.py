"""A pytest plugin: one test for each clause, on the targets of `--kmem-target` or of `conformance(…)`.

    test_mine = conformance("./libmine.so", calls=100_000, seed=1)

All tests of a target share one set of campaigns, also under pytest-xdist. What the rules need is imported
when a test asks for it: pytest loads a plugin before anything else, coverage included.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import pytest

if TYPE_CHECKING:
    from kmem_oracle.campaign.conformance import Terms

# By clause, what came of it and the text to it; or why nothing was judged.
Found: TypeAlias = "dict[str, tuple[str, str]] | str"
FOLDER: Final = "kmem_oracle_folder"  # where the processes of one run share what they found
_SHARED: Final = pytest.StashKey[Path]()
_JUDGED: Final = pytest.StashKey["dict[Terms, Found]"]()


class Node(Protocol):
    """A process of pytest-xdist that runs tests, as its master sees it."""

    config: pytest.Config
    workerinput: dict[str, object]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("kmem-oracle", "allocators judged by kmem-oracle")
    group.addoption("--kmem-target", action="append", metavar="TARGET", help="judge this: a test per clause")
    group.addoption("--kmem-calls", type=int, metavar="N", help="judged calls of a campaign (200000)")
    group.addoption("--kmem-time", type=float, metavar="SECONDS", help="seconds of a campaign (60)")
    group.addoption("--kmem-seed", type=int, metavar="N", help="replays a campaign (1)")
    group.addoption("--kmem-profile", metavar="NAME", help="promises to judge by: a name or a .toml file")
    group.addoption("--kmem-waive", metavar="CLAUSE,…", help="clauses not to judge")


def pytest_configure(config: pytest.Config) -> None:
    """Begin with no verdicts."""
    config.stash[_JUDGED] = {}


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Node) -> None:
    """Give the processes of pytest-xdist a folder to share."""
    if _SHARED not in node.config.stash:
        node.config.stash[_SHARED] = Path(tempfile.mkdtemp(prefix="kmem-oracle-"))
    node.workerinput[FOLDER] = str(node.config.stash[_SHARED])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Drop that folder."""
    if _SHARED in config.stash:
        shutil.rmtree(config.stash[_SHARED], ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the tests of `--kmem-target`, unless files are named: then it is what they run on.

    Errors   UsageError for a target that there is not
    """
    targets: list[str] = config.getoption("kmem_target") or []
    if not targets or any(Path(given.partition("::")[0]).is_file() for given in config.args):
        return
    from kmem_oracle.campaign.conformance import judged_clauses
    from kmem_oracle.targets.target import CouldNotRun

    for target in targets:
        try:
            terms = _of_options(config, target)
        except CouldNotRun as error:
            raise pytest.UsageError(f"--kmem-target: {error}") from error
        under = Judged.from_parent(session, name=target, nodeid=f"kmem-oracle[{target}]")
        items += [ClauseItem.from_parent(under, name=clause, terms=terms) for clause in judged_clauses()]


class Judged(pytest.Collector):
    """A target of `--kmem-target`."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield nothing: the tests are made with it."""
        return iter(())


class ClauseItem(pytest.Item):
    """The test of one clause on one target."""

    def __init__(self, name: str, parent: pytest.Collector, terms: Terms) -> None:
        """Take the clause's id as the name."""
        super().__init__(name, parent)
        self._terms = terms

    def runtest(self) -> None:
        """Say what came of the clause."""
        tell(self.config, self._terms, self.name)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return what the test is called."""
        return self.path, None, f"{self.name} on {self._terms.target}"


def conformance(
    target: str,
    *,
    calls: int | None = None,
    seconds: float | None = None,
    seed: int = 1,
    profile: str = "",
    waived: tuple[str, ...] = (),
) -> Callable[[str, pytest.Config], None]:
    """Return a test with one case for each clause, of `target` as on the command line of `kmem-oracle check`.

    `calls` and `seconds` limit each campaign, `profile` is a name or a .toml file.
    """
    from kmem_oracle.campaign.conformance import judged_clauses

    terms = _terms(target, calls, seconds, seed, profile, waived)

    @pytest.mark.parametrize("clause", judged_clauses())
    def test(clause: str, pytestconfig: pytest.Config) -> None:
        tell(pytestconfig, terms, clause)

    return test


def tell(config: pytest.Config, terms: Terms, clause: str) -> None:
    """Fail with the report where a clause is broken, skip with the reason where it was not judged."""
    found = _judged(config, terms)
    status, text = found[clause] if isinstance(found, dict) else ("broken", found)
    if status == "broken":
        pytest.fail(text, pytrace=False)
    if status == "open":
        pytest.skip(text)


def _of_options(config: pytest.Config, target: str) -> Terms:
    """Return the terms that the command line states."""
    from kmem_oracle.commands.judging import target_of, waived_of

    target_of(target)
    waived = waived_of(config.getoption("kmem_waive") or "")
    seed = config.getoption("kmem_seed")
    return _terms(
        target,
        config.getoption("kmem_calls"),
        config.getoption("kmem_time"),
        1 if seed is None else seed,
        config.getoption("kmem_profile") or "",
        tuple(sorted(waived)),
    )


def _terms(
    target: str, calls: int | None, seconds: float | None, seed: int, profile: str, waived: tuple[str, ...]
) -> Terms:
    """Return the terms, the usual where nothing is given."""
    from kmem_oracle.campaign.conformance import Terms
    from kmem_oracle.campaign.course import CALLS, SECONDS

    return Terms(target, calls or CALLS, seconds or SECONDS, seed, profile, waived)


def _judged(config: pytest.Config, terms: Terms) -> Found:
    """Return the verdicts of a target, which is judged once for all tests of a run, or why there are none."""
    known = config.stash[_JUDGED]
    if terms not in known:
        worker: dict[str, str] | None = getattr(config, "workerinput", None)
        known[terms] = _judge(terms) if worker is None else _judge_once(Path(worker[FOLDER]), terms)
    return known[terms]


def _judge(terms: Terms) -> Found:
    """Judge a target."""
    from kmem_oracle.campaign.conformance import verdicts
    from kmem_oracle.targets.target import CouldNotRun
    from kmem_spec.profile import ProfileError

    try:
        return {clause: (verdict.status, verdict.text) for clause, verdict in verdicts(terms).items()}
    except (CouldNotRun, ProfileError) as error:
        return f"kmem-oracle: {error}"


def _judge_once(folder: Path, terms: Terms) -> Found:
    """Judge a target unless another process of this run has; while it does, wait."""
    file = folder / hashlib.sha256(repr(terms).encode()).hexdigest()
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            file.write_text(json.dumps(_judge(terms)), encoding="utf-8")
    found: Found = json.loads(file.read_text(encoding="utf-8"))
    return found
