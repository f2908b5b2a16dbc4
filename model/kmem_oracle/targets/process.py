"""The parent's side of a worker: start it, run calls on a target in a fresh child, survive what it does."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from kmem_oracle.script import Op
from kmem_oracle.targets.family import ending
from kmem_oracle.targets.mailbox import SHARED
from kmem_oracle.targets.native import compiled, failing
from kmem_oracle.targets.packed import Packer
from kmem_oracle.targets.records import (
    AHEAD,
    CHUNK,
    COUNT,
    GUARD,
    GUARD_AT,
    HEADER,
    LANE_AT,
    NOTE,
    NOTES,
    NOTES_AT,
    OPS_AT,
    PART,
    RECORD,
    TIMES,
    TIMES_AT,
    TOUCHING,
    RawNote,
    Record,
)
from kmem_oracle.targets.wire import Inbox, Message, send
from kmem_oracle.targets.worker import OUT_OF_MEMORY

LOAD_SECONDS: Final = 20.0
BOOT_SECONDS: Final = 100.0
EXIT_SECONDS: Final = 5.0  # for a worker to end all that its target has started
PROCESSOR_SHARE: Final = (
    0.3  # of a call's time limit that may be processor time: a loop shows sooner than a wait
)
SCRIBBLED: Final = "or a call behind it wrote over memory that is not its own"
PIPE_BYTES: Final = 1 << 20  # room for a chunk of calls, so that sending one does not wait for the child


class CouldNotRun(Exception):
    """A target that cannot be judged at all; the message is one line."""


@dataclass(frozen=True, slots=True)
class Target:
    """What to open: `kind` is model, malloc, library, exec, python or linux.

    `name` is its path, the model's memory in MiB, a command, a module and what is in it, or a kernel.
    together   phases that are played before it is loaded afresh
    shrink     seconds at least for the reduction of what is found
    """

    kind: str
    name: str
    label: str
    together: int = 1
    shrink: float = 0.0


@dataclass(frozen=True, slots=True)
class Death:
    """How a target died: in the middle of call `index` of the chunk; `how` completes "the call …".

    unusable   why it cannot be judged any further, where it is not its call that is to blame
    console    the last that a kernel printed
    said       the last line that it wrote to its streams
    wild       whether it wrote over what was seen of the chunk, so that any of its calls may be to blame
    """

    index: int
    how: str
    unusable: str = ""
    console: str = ""
    said: str = ""
    wild: bool = False

    def told(self) -> str:
        """Return how it died, with its own last words."""
        return with_words(self.how, self.said)


@dataclass(frozen=True, slots=True)
class Lane:
    """What one thread did: records of its calls, and when each began and ended, in ns."""

    records: list[Record]
    times: list[tuple[int, int]]


class Worker:
    """A worker process and the memory it shares with us. Use it as a context."""

    def __init__(
        self,
        *,
        call_seconds: float,
        memory_limit: int,
        native: bool = True,
        threads: int = 1,
        guest: bool = False,
    ) -> None:
        """Start nothing yet. Units: seconds that one call may take, bytes that a target may map.

        `native` says that the target is a library, which may be driven in C where that can be compiled, and
        the memory that it has from the system be made to fail; `threads` is how many may run side by side.
        `guest` says that the target is a kernel, with which more memory is shared.
        """
        self.call_seconds = call_seconds
        self._parts = max(AHEAD, threads)
        self._threads = threads
        self._native = native
        self._guest = guest
        self.memory_limit = memory_limit
        self._loading: Target | None = None
        self._answered = False  # whether what is being loaded has said that it is, or why not
        self._early: deque[Message | None] = deque()  # messages that came before they were asked for
        self._ending: Run | None = None

    def __enter__(self) -> Self:
        """Start the worker."""
        with _shared_file() as file:
            file.truncate(SHARED if self._guest else HEADER.size + self._parts * PART)
            self._memory = mmap.mmap(file.fileno(), 0)
            for part in range(self._parts):
                self._guard(part)
            environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
            # Some malloc libraries want static TLS, of which a process has only what this reserves.
            environment.setdefault("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=65536")
            if self._native and (preloaded := failing()) is not None:
                before = environment.get("LD_PRELOAD")
                environment["LD_PRELOAD"] = f"{preloaded}:{before}" if before else str(preloaded)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kmem_oracle.targets.worker", str(file.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                pass_fds=[file.fileno()],
                env=environment,
                start_new_session=True,  # Ctrl-C reaches us alone
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._out, self._in = self._process.stdin, self._process.stdout
        self._inbox = Inbox(self._in.fileno())
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):  # the system's limit may be lower; then sending waits a little
                fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the worker and whatever it runs."""
        self._process.terminate()  # it ends all that is below it
        try:
            self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._out.close()
        self._in.close()
        self._memory.close()

    def open(self, target: Target) -> Run:
        """Begin a run on a freshly loaded target.

        Errors   CouldNotRun
        """
        self.load(target)
        self._loading = None
        return Run(self, target)

    def load(self, target: Target) -> None:
        """Let the worker load a target while something else goes on; `open` it next.

        Needs    the run before has ended, or was asked to
        """
        if self._loading == target:
            return
        self.settle()
        self._loading = target
        self._answered = False
        kinds = ("library",) if self._threads == 1 else ("library", "malloc")
        driver = compiled() if self._native and target.kind in kinds else None
        self.tell(
            ("open", target.kind, target.name, self.memory_limit, "" if driver is None else str(driver)),
            marked=True,
        )

    def is_ready(self, target: Target) -> bool:
        """Say whether a target that is being loaded answers; begin to load it as soon as that is possible."""
        if self._ending is not None and not self.waiting(0):
            return False
        self.load(target)
        while not self._answered and self._inbox.arrives(0):
            message = self._inbox.message()
            self._early.append(message)
            self._answered = message is None or message[0] != "pid"
        return self._answered

    def end(self, run: Run) -> None:
        """Ask a run's child to end; that it did is seen to before the next is loaded."""
        self._ending = run
        self.tell(("end",))

    def settle(self) -> None:
        """Wait until no child is left of a run that was asked to end."""
        ending, self._ending = self._ending, None
        if ending is not None:
            ending.await_end()

    def message(self) -> Message | None:
        """Return the next message of the worker, None if it is gone."""
        return self._early.popleft() if self._early else self._inbox.message()

    def waiting(self, seconds: float) -> bool:
        """Say whether a message arrives within that time."""
        return bool(self._early) or self._inbox.arrives(seconds)

    def tell(self, message: Message, *, marked: bool = False) -> None:
        """Send a message, marked to the worker, else to its child; who is gone shows in the next answer."""
        try:
            send(self._out.fileno(), message, marked=marked)
        except BrokenPipeError:
            return

    def position(self) -> tuple[int, int, int]:
        """Return which call is in hand, whether it is called or its memory touched, and in which part."""
        index, doing, base = HEADER.unpack_from(self._memory, 0)
        return index, doing, (base - HEADER.size) // PART

    def lane(self, part: int) -> tuple[int, int]:
        """Return which call the thread of a part has in hand, and whether it is called or touched."""
        index, doing, _ = HEADER.unpack_from(self._memory, HEADER.size + part * PART + LANE_AT)
        return index, doing

    def times(self, part: int, count: int) -> list[tuple[int, int]]:
        """Return when each of the first calls of a thread began and ended, in ns."""
        begin = HEADER.size + part * PART + TIMES_AT
        return list(TIMES.iter_unpack(self._memory[begin : begin + count * TIMES.size]))

    def _guard(self, part: int) -> None:
        """Write a word behind a part that nothing of ours changes."""
        begin = HEADER.size + part * PART + GUARD_AT
        self._memory[begin : begin + len(GUARD)] = GUARD

    def is_intact(self, part: int) -> bool:
        """Say whether the word behind a part is as it was; if not, make it so."""
        begin = HEADER.size + part * PART + GUARD_AT
        intact = self._memory[begin : begin + len(GUARD)] == GUARD
        self._guard(part)
        return intact

    def put(self, part: int, data: bytes) -> None:
        """Lay the packed calls of a chunk into that part of the shared memory."""
        begin = HEADER.size + part * PART + OPS_AT
        self._memory[begin : begin + len(data)] = data

    def records(self, part: int, count: int) -> list[Record]:
        """Return the first records of a chunk, whose records lie in that part of the shared memory."""
        begin, count = HEADER.size + part * PART, min(count, CHUNK)
        return list(RECORD.iter_unpack(self._memory[begin : begin + count * RECORD.size]))

    def notes(self, part: int) -> list[RawNote]:
        """Return the notes that were made during a chunk, in order."""
        begin = HEADER.size + part * PART + NOTES_AT
        count = min(COUNT.unpack_from(self._memory, begin)[0], NOTES)
        begin += COUNT.size
        return list(NOTE.iter_unpack(self._memory[begin : begin + count * NOTE.size])) if count else []


class Run:
    """One child with one freshly loaded target. Use it as a context."""

    def __init__(self, worker: Worker, target: Target) -> None:
        """Wait until the target is loaded.

        Errors   CouldNotRun where it is not
        """
        self._worker = worker
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
            self._worker.put(self._part, self._packer.pack(ops))
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
                if not self._worker.is_intact(part):
                    self._kill()
                    return [], [], Death(0, SCRIBBLED, wild=True)
                self._sent.popleft()
                self.printed += [str(text) for text in message[1:]]
                return self._worker.records(part, count), self._worker.notes(part), None
            if message is not None and message[0] in ("gone", "unusable"):
                how = str(message[1])
                unusable = how if message[0] == "unusable" else ""
                console = "".join(str(text) for text in message[2:])
                self._await_exit()
            else:
                how = "ended the worker" if message is None else self._exit(message)
        if not self._worker.is_intact(part):
            how = f"{SCRIBBLED}, and {how}"
            return [], [], Death(0, how, unusable, console, self._said, wild=True)
        index, doing, begun = self._worker.position()
        if begun != part:  # it died before the first call of this chunk
            return [], [], Death(0, how, unusable, console, self._said)
        if doing == TOUCHING:
            how = f"gave memory that cannot be used: touching it {how}"
        died = Death(index, how, unusable, console, self._said)
        return self._worker.records(part, index), self._worker.notes(part), died

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
            self._worker.put(part, self._packer.pack(ops))
            self._sent.append((part, len(ops)))
        self._worker.tell(("threads", HEADER.size, *(len(ops) for ops in programs)))

    def finish_threads(self) -> tuple[list[Lane], Death | None]:
        """Wait for all threads: what each of them did, and how the target died if it did."""
        worker = self._worker

        def lanes() -> tuple[tuple[int, int], ...]:
            return tuple(worker.lane(part) for part, _ in self._sent)

        how, unusable = self._stuck(lanes), ""
        if not how:
            message = worker.message()
            if message is not None and message[0] == "done":
                done = [Lane(worker.records(part, n), worker.times(part, n)) for part, n in self._sent]
                self._sent.clear()
                return done, None
            if message is not None and message[0] == "unusable":
                how = unusable = str(message[1])
                self._await_exit()
            else:
                how = "ended the worker" if message is None else self._exit(message)
        at = [worker.lane(part)[0] for part, _ in self._sent]
        done = [Lane(worker.records(part, n), worker.times(part, n)) for part, n in enumerate(at)]
        return done, Death(0, how, unusable, said=self._said)

    def _stuck(self, position_of: Callable[[], tuple[object, ...]] | None = None) -> str:
        """Wait for an answer; if a call takes too long, kill the child and say so."""
        limit = self._worker.call_seconds
        position_of = position_of or self._worker.position
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


def _shared_file() -> IO[bytes]:
    """Return an empty file without a name: memory alone, where that can be had.

    On a file system that is full, to touch it would crash the target without a fault of its own.
    """
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("kmem-oracle"), "w+b")
    return tempfile.TemporaryFile(prefix="kmem-oracle-")


def _processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used, 0 where the system does not tell."""
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def with_words(sentence: str, said: str) -> str:
    """Return a sentence with the last words of what it is about, if there were any."""
    return f"{sentence}; it wrote: {said}" if said else sentence


def describe_exit(code: int) -> str:
    """Return how a process ended, to complete a sentence."""
    if code == OUT_OF_MEMORY:
        return "left no memory: the limit of the target's process was reached"
    return ending(code)
