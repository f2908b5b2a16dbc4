"""One run of a target: calls go to its child in chunks, and what became of them, or of it, comes back."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from kmem_oracle.language.script import Op
from kmem_oracle.targets.family import ending
from kmem_oracle.targets.packed import Packer
from kmem_oracle.targets.records import AHEAD, CHUNK, HEADER, PART, TOUCHING, RawNote, Record
from kmem_oracle.targets.shared import Lane
from kmem_oracle.targets.target import CouldNotRun, Death, Target, with_words
from kmem_oracle.targets.wire import Message
from kmem_oracle.targets.worker import OUT_OF_MEMORY

if TYPE_CHECKING:
    from kmem_oracle.targets.process import Worker

LOAD_SECONDS: Final = 20.0
BOOT_SECONDS: Final = 100.0
PROCESSOR_SHARE: Final = (
    0.3  # of a call's time limit that may be processor time: a loop shows sooner than a wait
)
SCRIBBLED: Final = "or a call behind it wrote over memory that is not its own"


class Run:
    """One child with one freshly loaded target. Use it as a context."""

    def __init__(self, worker: Worker, target: Target) -> None:
        """Wait until the target is loaded.

        Errors   CouldNotRun where it is not
        """
        self._worker = worker
        self._shared = worker.shared
        self._part = 0
        self._ended = False
        self._pid = self._working = 0  # the child; the process that runs the target
        self._said = ""  # what the child wrote last
        self.printed: list[str] = []  # what a kernel has printed, chunk by chunk
        self._sent: deque[tuple[int, int]] = deque()  # part and number of calls of each chunk
        seconds = BOOT_SECONDS if target.kind == "linux" else LOAD_SECONDS
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not worker.waiting(left):
                self._kill()
                raise CouldNotRun(f"{target.label}: loading it took more than {seconds:.0f} s; it hangs")
            message = worker.message()
            if message is None:
                raise CouldNotRun(f"{target.label}: the worker process ended; try again with more memory")
            if message[0] == "pid":
                self._working = int(str(message[1]))  # of a kernel, a second comes: that of the guest
                self._pid = self._pid or self._working
            elif message[0] == "exit":
                how = self._exit(message)
                limit = worker.memory_limit >> 20
                hint = f" (with {limit} MiB to map; --memory gives it more)" if limit else ""
                raise CouldNotRun(with_words(f"{target.label}: loading it {how}{hint}", self._said))
            elif message[0] == "unusable":
                self._await_exit()
                said = self._said if target.kind == "exec" else ""
                raise CouldNotRun(with_words(str(message[1]), said))
            else:
                assert message[0] == "ready"
                self.apis = frozenset(str(message[1]).split())
                self.profile = str(message[2])
                self.in_c = bool(message[3])
                self.seen = bool(message[4])
                self.files = frozenset(str(message[5]).split())
                self._packer = _packer(str(message[3])) if self.in_c else None
                return

    def __enter__(self) -> Self:
        """Return the run."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the child, gently if it can be."""
        if self._ended:
            return
        if kind is None and not self._sent:
            self._worker.end(self)
        else:
            self._kill()

    def await_end(self) -> None:
        """Wait for the end that the child was asked for; kill it if that takes long."""
        if self._worker.waiting(2.0):
            self._await_exit()
        else:
            self._kill()

    def start(self, ops: Sequence[Op]) -> None:
        """Send a chunk of at most CHUNK calls, AHEAD chunks at most; `finish` gives what became of each."""
        assert len(ops) <= CHUNK
        assert len(self._sent) < AHEAD
        self._part = (self._part + 1) % AHEAD
        self._sent.append((self._part, len(ops)))
        base = HEADER.size + self._part * PART
        if self._packer is None:
            self._worker.tell(("ops", base, [(api, out, args) for api, out, args in ops]))
        else:
            self._shared.put(self._part, self._packer.pack(ops))
            self._worker.tell(("packed", base, len(ops)))

    def is_answered(self) -> bool:
        """Say whether `finish` need not wait."""
        return bool(self._sent) and self._worker.waiting(0)

    def finish(self) -> tuple[list[Record], list[RawNote], Death | None]:
        """Wait for the oldest chunk: its records and notes, and how the target died if it did.

        A call that takes longer than the worker's `call_seconds`, or a fair share of them of processor
        time, is a hang, and is killed.
        """
        part, count = self._sent[0]
        how, unusable, console = self._stuck(), "", ""
        if not how:
            message = self._worker.message()
            if message is not None and message[0] == "done":
                if not self._shared.is_intact(part):
                    self._kill()
                    return [], [], Death(0, SCRIBBLED, wild=True)
                self._sent.popleft()
                self.printed += [str(text) for text in message[1:]]
                return self._shared.records(part, count), self._shared.notes(part), None
            if message is not None and message[0] in ("gone", "unusable"):
                how = str(message[1])
                unusable = how if message[0] == "unusable" else ""
                console = "".join(str(text) for text in message[2:])
                self._await_exit()
            else:
                how = "ended the worker" if message is None else self._exit(message)
        if not self._shared.is_intact(part):
            how = f"{SCRIBBLED}, and {how}"
            return [], [], Death(0, how, unusable, console, self._said, wild=True)
        index, doing, begun = self._shared.position()
        if begun != part:  # it died before the first call of this chunk
            return [], [], Death(0, how, unusable, console, self._said)
        if doing == TOUCHING:
            how = f"gave memory that cannot be used: touching it {how}"
        died = Death(index, how, unusable, console, self._said)
        return self._shared.records(part, index), self._shared.notes(part), died

    def file(self, name: str) -> str:
        """Return what the target prints under the name of one of its files.

        Needs    no chunk is on its way
        Errors   CouldNotRun where the target is gone
        """
        assert name in self.files
        assert not self._sent
        self._worker.tell(("file", name))
        message = self._worker.message()
        if message is None or message[0] != "text":
            raise CouldNotRun(f"{name} cannot be read: the target ended")
        return str(message[1])

    def start_threads(self, programs: Sequence[Sequence[Op]]) -> None:
        """Send calls to be run side by side, of each thread CHUNK at most; `finish_threads` comes next.

        Needs    the target is driven in C, and no chunk is on its way
        """
        assert self._packer is not None
        assert not self._sent
        for part, ops in enumerate(programs):
            assert len(ops) <= CHUNK
            self._shared.put(part, self._packer.pack(ops))
            self._sent.append((part, len(ops)))
        self._worker.tell(("threads", HEADER.size, *(len(ops) for ops in programs)))

    def finish_threads(self) -> tuple[list[Lane], Death | None]:
        """Wait for all threads: what each of them did, and how the target died if it did."""
        shared = self._shared

        def lanes() -> tuple[tuple[int, int], ...]:
            return tuple(shared.lane(part) for part, _ in self._sent)

        how, unusable = self._stuck(lanes), ""
        if not how:
            message = self._worker.message()
            if message is not None and message[0] == "done":
                done = [Lane(shared.records(part, n), shared.times(part, n)) for part, n in self._sent]
                self._sent.clear()
                return done, None
            if message is not None and message[0] == "unusable":
                how = unusable = str(message[1])
                self._await_exit()
            else:
                how = "ended the worker" if message is None else self._exit(message)
        at = [shared.lane(part)[0] for part, _ in self._sent]
        done = [Lane(shared.records(part, n), shared.times(part, n)) for part, n in enumerate(at)]
        return done, Death(0, how, unusable, said=self._said)

    def _stuck(self, position_of: Callable[[], tuple[object, ...]] | None = None) -> str:
        """Wait for an answer; if a call takes too long, kill the child and say so."""
        limit = self._worker.call_seconds
        position_of = position_of or self._shared.position
        position, since, spent = position_of(), time.monotonic(), _processor_seconds(self._working)
        while not self._worker.waiting(min(0.25, limit / 4)):
            now = position_of()
            if now != position:
                position, since, spent = now, time.monotonic(), _processor_seconds(self._working)
            elif (
                time.monotonic() - since > limit
                or _processor_seconds(self._working) - spent > limit * PROCESSOR_SHARE
            ):
                self._kill()
                return f"did not return within {time.monotonic() - since:.1f} s"
        return ""

    def _kill(self) -> None:
        """End the child at once."""
        if not self._ended and self._pid:
            with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
                os.kill(self._pid, signal.SIGKILL)
            self._await_exit()

    def _await_exit(self) -> None:
        """Read on until the worker says that the child has ended."""
        while (message := self._worker.message()) is not None and message[0] != "exit":
            continue
        if message is not None:
            self._exit(message)
        self._ended = True

    def _exit(self, message: Message) -> str:
        """Take in that the child has ended, and return how."""
        self._ended, self._said = True, str(message[2])
        return describe_exit(int(str(message[1])))


@functools.lru_cache(maxsize=8)
def _packer(codes: str) -> Packer:
    """Return what packs calls for a driver that knows them by these names, each at the place of its code."""
    return Packer(codes.split())


def _processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used, 0 where the system does not tell."""
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def describe_exit(code: int) -> str:
    """Return how a process ended, to complete a sentence."""
    if code == OUT_OF_MEMORY:
        return "left no memory: the limit of the target's process was reached"
    return ending(code)
