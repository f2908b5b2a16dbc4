"""A process as a target: JSON lines on its standard input and output. spec/script.md has the format.

Runs in the worker's child only. The process is of the child's group and ends with it.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import subprocess
from collections import deque
from collections.abc import Callable
from typing import Final, NoReturn

from kmem_oracle.targets.family import die_with_parent, ending
from kmem_oracle.targets.opened import Gone, Imprint, Unusable

MOST_LINE: Final = 1 << 22  # bytes of a line; an array of 65,536 addresses needs a third of that
PIECE: Final = 1 << 16  # bytes read at a time
LAST_SECONDS: Final = 1.0  # for a process that closed its output to end
SHOWN: Final = 60  # characters of a line that a message shows
HELP: Final = 'see "A target as a process" in spec/script.md'


class Lines:
    """A process that answers requests.

    imprints   constructors and destructors by the number that the process knows them by
    imprinted  whether one is being noted, which has run already and wrote what it writes
    asleep     called when a call slept
    """

    def __init__(self, command: str) -> None:
        """Start the process.

        Errors   Unusable
        """
        self.label = f"exec:{command}"
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise Unusable(f"{self.label}: no command: {error}") from error
        if not words:
            raise Unusable("exec: names no command: write exec:COMMAND")
        try:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                preexec_fn=die_with_parent,
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise Unusable(f"{self.label}: cannot be started: {why}") from error
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._to, self._from = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self._to, False)
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self.imprints: dict[int, Imprint] = {}
        self.imprinted = False
        self.asleep: Callable[[], None] | None = None

    def hello(self) -> dict[str, object]:
        """Return the first line.

        Errors   Unusable
        """
        try:
            line = self._line()
        except Gone as gone:
            raise Unusable(f"{self.label}: the command {gone} before it wrote its hello line") from gone
        return self._object(line)

    def ask(self, request: bytes) -> object:
        """Send a request, a line, and return the result in the answer to it.

        Errors   Gone where the process ends, Unusable where what it answers makes no sense
        """
        answer = self._answer(request)
        if isinstance(answer, int):
            return answer
        if "error" in answer:
            raise Unusable(f"{self.label}: answered {shown(request)} with the error {shown(answer['error'])}")
        return answer["result"]

    def touch(self, request: bytes) -> object:
        """Do as `ask` does with a request to reach memory; an error tells that there is none.

        Errors   Gone, Unusable
        """
        answer = self._answer(request)
        if isinstance(answer, int):
            return answer
        if "error" in answer:
            raise Gone(f"failed: {shown(answer['error'])}")
        return answer["result"]

    def senseless(self, request: bytes, answer: object) -> NoReturn:
        """Say that an answer makes no sense."""
        raise Unusable(f"{self.label}: answered {shown(request)} with {shown(answer)}; {HELP}")

    def _answer(self, request: bytes) -> int | dict[str, object]:
        """Send a request; return the result if it is an address, else the whole answer."""
        if self._lines or self._rest:
            unasked = self._lines[0] if self._lines else self._rest
            raise Unusable(f"{self.label}: wrote {shown(unasked)}, for which nothing asked; {HELP}")
        self._send(request)
        while True:
            line = self._line()
            if line[:13] == b'{"result":"0x' and line[-2:] == b'"}' and line[13:-2].isalnum():  # as most are
                try:
                    return int(line[13:-2], 16)
                except ValueError:
                    self.senseless(request, line)
            answer = self._object(line, request)
            if "ran" in answer:
                self._note(request, answer)
            elif "result" in answer or "error" in answer:
                if answer.get("slept") and self.asleep is not None:
                    self.asleep()
                return answer
            else:
                self.senseless(request, line)

    def _note(self, request: bytes, answer: dict[str, object]) -> None:
        """Note that a constructor or destructor ran."""
        ran = answer["ran"]
        if not isinstance(ran, list) or len(ran) != 2 or not isinstance(ran[0], int):
            self.senseless(request, answer)
        start = number(ran[1])
        if ran[0] not in self.imprints or start is None or start < 0:
            self.senseless(request, answer)
        self.imprinted = True
        self.imprints[ran[0]](start)
        self.imprinted = False

    def _object(self, line: bytes, request: bytes = b"") -> dict[str, object]:
        """Return a line as the JSON object that it should be, in answer to a request or as the first."""
        try:
            value: object = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            did = f"answered {shown(request)}" if request else "began"
            raise Unusable(f"{self.label}: {did} with {shown(line)}, which is no JSON object; {HELP}")
        return value

    def _send(self, data: bytes) -> None:
        """Write it all, and take meanwhile what the process writes, so that neither waits for the other.

        Who reads no more shows at the next line.
        """
        left = memoryview(data)
        try:
            while True:
                try:
                    left = left[os.write(self._to, left) :]
                except BlockingIOError:
                    readable, _, _ = select.select([self._from], [self._to], [])
                    if readable:
                        self._take()
                if not left:
                    return
        except BrokenPipeError:
            return

    def _line(self) -> bytes:
        """Return the next line.

        Errors   Gone, Unusable
        """
        while not self._lines:
            self._take()
        return self._lines.popleft()

    def _take(self) -> None:
        """Read what there is.

        Errors   Gone, Unusable
        """
        part = os.read(self._from, PIECE)
        if not part:
            try:
                raise Gone(ending(self.process.wait(LAST_SECONDS)))
            except subprocess.TimeoutExpired:
                raise Gone("closed its standard output") from None
        *lines, self._rest = (self._rest + part).split(b"\n")
        self._lines.extend(lines)
        if len(self._rest) > MOST_LINE:
            raise Unusable(f"{self.label}: wrote a line of more than {MOST_LINE:,} bytes; {HELP}")


def number(value: object) -> int | None:
    """Return what stands for a number in an answer, None if it is none; null is 0."""
    if value is None:
        return 0
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str) and value.startswith("0x"):
        try:
            return int(value, 16)
        except ValueError:
            return None
    return None


def shown(line: object) -> str:
    """Return the beginning of a line, or of an answer, to be shown in a message."""
    if isinstance(line, bytes):
        text = line[: 4 * SHOWN].decode("utf-8", "replace").strip()
    else:
        text = str(line) if isinstance(line, str) else json.dumps(line)
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return f"{text[:SHOWN]}…" if len(text) > SHOWN else text or "an empty line"
