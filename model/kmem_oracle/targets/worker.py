"""The worker process: loads a target and runs calls on it, apart from the process that judges.

It is started once (`python -m kmem_oracle.targets.worker FD`) and forks a child for each run, so every
run begins with a target freshly loaded, at the price of a fork. The child speaks with the parent over the
same pipes; while it lives the worker only waits for it. Results go through shared memory, so that what was
done before a crash is not lost.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import mmap
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final, Protocol

from kmem_oracle.targets.access import Native
from kmem_oracle.targets.driver import Driver, runnable
from kmem_oracle.targets.family import LINUX, die_with_parent, end_children, take_in_orphans
from kmem_oracle.targets.last_words import await_end
from kmem_oracle.targets.library import open_library
from kmem_oracle.targets.malloc import Malloc
from kmem_oracle.targets.native import NativeDriver, build, compiler, names
from kmem_oracle.targets.opened import Gone, Opened, Unusable
from kmem_oracle.targets.wire import receive, receive_marked, report

# Address space is reserved by the terabyte by allocators that use little of it; Linux can limit what is used.
MEMORY: Final = resource.RLIMIT_DATA if LINUX else resource.RLIMIT_AS
OUT_OF_MEMORY: Final = 77  # exit status of a child that found no memory for itself


def main(memory_fd: int) -> None:
    """Serve runs until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, _end)
    take_in_orphans()
    die_with_parent(signal.SIGTERM)
    inbox, outbox = os.dup(0), os.dup(1)
    shared = mmap.mmap(memory_fd, 0)
    native: ctypes.CDLL | None = None
    gc.freeze()
    while (message := receive_marked(inbox)) is not None:
        _, kind, name, memory_limit, driver = message
        if driver and native is None:
            native = ctypes.CDLL(str(driver))
        if kind == "linux":
            importlib.import_module("kmem_oracle.targets.booted")  # once, and not in each child
        words, stream = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(words)
                os.dup2(stream, 2)
                os.close(stream)
                os.setpgid(0, 0)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                die_with_parent()
                if kind == "linux":
                    _run_kernel(inbox, outbox, shared, memory_fd, str(name))
                else:
                    _run(inbox, outbox, shared, str(kind), str(name), int(str(memory_limit)), native)
                code = 0
            except MemoryError:
                code = OUT_OF_MEMORY
            finally:
                os._exit(code)
        os.close(stream)
        status, said = await_end(pid, words)
        os.close(words)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what the target itself may have forked
        end_children()  # and what has left its group
        report(outbox, "exit", os.waitstatus_to_exitcode(status), said)


def _run(
    inbox: int,
    outbox: int,
    shared: mmap.mmap,
    kind: str,
    name: str,
    limit: int,
    native: ctypes.CDLL | None,
) -> None:
    """Load the target, then run chunks of calls until told to stop."""
    child = os.getpid()
    report(outbox, "pid", child)
    _be_quiet()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limit and kind != "model":
        resource.setrlimit(MEMORY, (limit, limit))
    try:
        target = _open(kind, name, in_c=native is not None)
    except Unusable as error:
        report(outbox, "unusable", str(error))
        return
    packed = native is not None and bool(target.symbols)
    calls = " ".join(sorted(runnable(target.functions)))
    codes = " ".join(names(native)) if native is not None and packed else ""
    files = " ".join(sorted(target.files))
    report(outbox, "ready", calls, target.profile, codes, int(target.seen), files)
    gc.disable()
    if native is not None and packed:
        in_c = NativeDriver(native, shared, target.symbols, target.largest, target.hook)
        _serve_packed(inbox, outbox, in_c)
        return
    watched = target.watch is not None
    driver = Driver(target.functions, target.access, memoryview(shared), target.largest, watched=watched)
    if target.watch is not None:
        target.watch(driver.notes.asleep)
    try:
        while (message := receive(inbox)) is not None and message[0] in ("ops", "file"):
            if message[0] == "file":
                report(outbox, "text", target.files[str(message[1])]())
                continue
            ops = message[2]
            assert isinstance(ops, list)
            driver.run(ops, int(str(message[1])))
            _done(outbox, child)
    except Gone as gone:
        report(outbox, "gone", str(gone))
    except Unusable as error:
        report(outbox, "unusable", str(error))


def _run_kernel(inbox: int, outbox: int, shared: mmap.mmap, memory_fd: int, name: str) -> None:
    """Boot a kernel, then run chunks of calls in it until told to stop."""
    from kmem_oracle.targets.booted import Booted

    report(outbox, "pid", os.getpid())
    _be_quiet()
    try:
        kernel = Booted(name, shared, memory_fd)
    except Unusable as error:
        report(outbox, "unusable", str(error))
        return
    report(outbox, "pid", kernel.pid)  # whose processor time tells a loop from a wait
    said = kernel.said
    calls = " ".join(sorted(kernel.calls))
    report(outbox, "ready", calls, kernel.profile, " ".join(said.codes), 1, "")
    try:
        _serve_packed(inbox, outbox, kernel, kernel.news)
    except Gone as gone:
        report(outbox, "gone", str(gone), kernel.console())


def _be_quiet() -> None:
    """Let nothing that a target prints or reads reach our own streams; what it prints are its last words."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)


class Packed(Protocol):
    """What runs calls that lie packed in the shared memory."""

    def run(self, base: int, count: int) -> None:
        """Run the calls of the part at byte `base`."""

    def run_threads(self, base: int, counts: Sequence[int]) -> None:
        """Run the calls of the parts from byte `base` on, each in a thread."""


def _serve_packed(inbox: int, outbox: int, driver: Packed, news: Callable[[], str] | None = None) -> None:
    """Run chunks of calls that lie packed in the shared memory; pass on what a kernel prints meanwhile."""
    child = os.getpid()
    while (message := receive(inbox)) is not None and message[0] in ("packed", "threads"):
        base, *counts = (int(str(number)) for number in message[1:])
        if message[0] == "packed":
            driver.run(base, counts[0])
        else:
            try:
                driver.run_threads(base, counts)
            except OSError as error:
                report(outbox, "unusable", f"{len(counts)} threads cannot be started: {error.strerror}")
                return
        _done(outbox, child, *(() if news is None else (news(),)))


def _done(outbox: int, child: int, *news: str) -> None:
    """Say that a chunk is done; a copy of the child that the target has forked ends here."""
    if os.getpid() != child:
        os._exit(0)
    report(outbox, "done", *news)


def _open(kind: str, name: str, *, in_c: bool) -> Opened:
    """Open a target, to be driven in C or not.

    Errors   Unusable
    """
    if kind == "model":
        from kmem_oracle.targets.model import open_model  # no other target has any use for the model

        return open_model(name)
    if kind == "malloc":
        over = build("over.c", compiler()) if in_c else None
        calls = Malloc(name)
        return Opened(calls.functions(), Native(), symbols={} if over is None else calls.symbols(str(over)))
    if kind == "exec":
        from kmem_oracle.targets.line_calls import open_command

        return open_command(name)
    if kind == "python":
        from kmem_oracle.targets.python_objects import open_python

        return open_python(name)
    return open_library(name)


def _end(_number: int, _frame: FrameType | None) -> None:
    """End with all that is below this process."""
    end_children()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
