"""The parent's side of a worker: start it, let it load targets, and run each in a fresh child."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections import deque
from types import TracebackType
from typing import Final, Self

from kmem_oracle.targets.mailbox import SHARED
from kmem_oracle.targets.native import compiled, failing
from kmem_oracle.targets.records import AHEAD
from kmem_oracle.targets.run import Run
from kmem_oracle.targets.shared import Shared, shared_file
from kmem_oracle.targets.target import Target
from kmem_oracle.targets.wire import Inbox, Message, send

EXIT_SECONDS: Final = 5.0  # for a worker to end all that its target has started
PIPE_BYTES: Final = 1 << 20  # room for a chunk of calls, so that sending one does not wait for the child


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
        with shared_file() as file:
            self.shared = Shared(file, self._parts, SHARED if self._guest else 0)
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
        self.shared.close()

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
