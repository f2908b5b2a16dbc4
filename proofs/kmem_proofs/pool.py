"""Work in other processes, with a limit on time that holds whatever the work does.

Each piece of work has a process of its own, a copy of this one as it is when all begins: so that nothing
that ran before changes how it goes, nor how much it spends.
"""

from __future__ import annotations

import gc
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from time import monotonic
from typing import Generic, TypeVar

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Worker:
    """A process, and what it is at."""

    process: multiprocessing.process.BaseProcess
    connection: Connection
    name: str
    deadline: float

    def end(self) -> None:
        """Stop the process."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def _serve(connection: Connection, work: Callable[[str], object], name: str) -> None:
    """Send the result of `work`."""
    gc.freeze()  # what is here stays, and the collector counts from zero, whatever was done before
    connection.send(work(name))


@dataclass(frozen=True, slots=True)
class Pool(Generic[R]):
    """`jobs` processes that do `work` by name, each within `seconds`; `lost` says what stands for an answer
    that did not come, with the reason."""

    work: Callable[[str], R]
    lost: Callable[[str, str], R]
    jobs: int
    seconds: float
    begun: Callable[[Sequence[str]], None] = lambda _: None  # is told what is being worked at

    def run(self, names: Sequence[str]) -> Iterator[R]:
        """Yield the result of each name, as they come; the work is begun in this order."""
        waiting: deque[str] = deque(names)
        busy: list[Worker] = []
        try:
            while waiting or busy:
                while waiting and len(busy) < self.jobs:
                    busy.append(self._start(waiting.popleft()))
                self.begun([worker.name for worker in busy])
                patience = max(0.0, min(worker.deadline for worker in busy) - monotonic())
                ready = wait([worker.connection for worker in busy], patience)
                for worker in list(busy):
                    if worker.connection in ready or monotonic() >= worker.deadline:
                        busy.remove(worker)
                        yield self._answer(worker, worker.connection in ready)
        finally:
            for worker in busy:
                worker.end()

    def _answer(self, worker: Worker, ready: bool) -> R:
        """Return what the worker says, or what stands for it."""
        try:
            if not ready:
                return self.lost(worker.name, f"no answer within {self.seconds:g} s")
            answer: R = worker.connection.recv()
        except EOFError:
            return self.lost(worker.name, "its process died")
        finally:
            worker.end()
        return answer

    def _start(self, name: str) -> Worker:
        """Return a new worker."""
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("fork" if "fork" in methods else None)
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_serve, args=(theirs, self.work, name), daemon=True)
        process.start()
        theirs.close()
        return Worker(process, ours, name, monotonic() + self.seconds)
