"""Work in other processes, with a limit on time that holds whatever the work does."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from time import monotonic
from typing import Generic, TypeVar

R = TypeVar("R")


@dataclass(slots=True)
class Worker:
    """A process, and what it is at."""

    process: multiprocessing.process.BaseProcess
    connection: Connection
    name: str = ""
    deadline: float = 0.0

    def end(self) -> None:
        """Stop the process."""
        self.process.terminate()
        self.process.join()
        self.connection.close()


def _serve(connection: Connection, work: Callable[[str], object]) -> None:
    """Answer names with results until the other end is closed."""
    while True:
        try:
            name = connection.recv()
        except EOFError:
            return
        connection.send(work(name))


@dataclass(frozen=True, slots=True)
class Pool(Generic[R]):
    """`jobs` processes that do `work` by name, each within `seconds`; `lost` says what stands for an answer
    that did not come, with the reason."""

    work: Callable[[str], R]
    lost: Callable[[str, str], R]
    jobs: int
    seconds: float

    def run(self, names: Sequence[str]) -> Iterator[R]:
        """Yield the result of each name, as they come."""
        waiting, workers = deque(names), [self._start() for _ in range(min(self.jobs, len(names)))]
        try:
            while True:
                for index, worker in enumerate(workers):
                    if not worker.name and waiting:
                        workers[index] = worker = worker if worker.process.is_alive() else self._start()
                        worker.name, worker.deadline = waiting.popleft(), monotonic() + self.seconds
                        worker.connection.send(worker.name)
                busy = [worker for worker in workers if worker.name]
                if not busy:
                    return
                patience = max(0.0, min(worker.deadline for worker in busy) - monotonic())
                ready = wait([worker.connection for worker in busy], patience)
                for worker in busy:
                    if worker.connection in ready or monotonic() >= worker.deadline:
                        name, worker.name = worker.name, ""
                        yield self._answer(worker, name, worker.connection in ready)
        finally:
            for worker in workers:
                worker.end()

    def _answer(self, worker: Worker, name: str, ready: bool) -> R:
        """Return what the worker says, or what stands for it; a worker without an answer is ended."""
        if not ready:
            worker.end()
            return self.lost(name, f"no answer within {self.seconds:g} s")
        try:
            answer: R = worker.connection.recv()
        except EOFError:
            worker.end()
            return self.lost(name, "its process died")
        return answer

    def _start(self) -> Worker:
        """Return a new worker."""
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("fork" if "fork" in methods else None)
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self.work), daemon=True)
        process.start()
        theirs.close()
        return Worker(process, ours)
