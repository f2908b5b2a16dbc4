"""Processes that are no target, or cease to be one: the first argument says how."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

HELLO = '{"kmem-oracle":1,"calls":["kmalloc","kfree","ksize"]}\n'
OBJECT = '{"result":"0x10000"}\n'


def say(text: str) -> None:
    """Write at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def without_end() -> None:
    """Write one line, for ever."""
    while True:
        say("x" * 65536)


def stay() -> None:
    """Leave a process behind, in a session of its own, whose parent is gone at once."""
    child = "import subprocess, sys; subprocess.Popen(['sleep', '300'], start_new_session=True)"
    subprocess.run([sys.executable, "-c", child], check=True, stdout=subprocess.DEVNULL)
    say(OBJECT)


def eat() -> None:
    """Take memory until there is none."""
    taken = []
    while True:
        taken.append(bytearray(1 << 24))


def sleep() -> None:
    """Do nothing, for long."""
    time.sleep(300)


def close() -> None:
    """Write nothing any more, and go on."""
    os.close(1)
    sleep()


def saying(text: str) -> Callable[[], None]:
    """Return what writes a line."""
    return lambda: say(f"{text}\n")


def noise() -> None:
    """Write a lot for people, then an answer."""
    sys.stderr.write("x" * 1_000_000)
    say(OBJECT)


def half() -> None:
    """End within a line."""
    say('{"resu')
    sys.exit(5)


FIRST: Final[dict[str, Callable[[], None]]] = {
    "silent": sleep,
    "status": lambda: sys.exit(3),
    "garbage first": saying("Hello!"),
    "binary first": saying("\x1b[31m\x00"),
    "endless first": without_end,
    "version": saying('{"kmem-oracle":2,"calls":["kmalloc"]}'),
    "unknown": saying('{"kmem-oracle":1,"calls":["kmalloc","kmaloc"]}'),
    "none": saying('{"kmem-oracle":1,"calls":[]}'),
    "no list": saying('{"kmem-oracle":1,"calls":"kmalloc"}'),
    "profile": saying('{"kmem-oracle":1,"calls":["kmalloc"],"profile":6}'),
    "foreign pid": saying('{"kmem-oracle":1,"calls":["kmalloc"],"pid":1}'),
    "closed first": close,
}
LATER: Final[dict[str, Callable[[], None]]] = {
    "garbage": saying("a line for people"),
    "no result": saying('{"resutl":1}'),
    "text": saying('{"result":"abc"}'),
    "negative": saying('{"result":-1}'),
    "too large": saying('{"result":"0x10000000000000000"}'),
    "deep": saying("[" * 100_000),
    "error": saying('{"error":"no such call"}'),
    "unknown constructor": saying('{"ran":[7,"0x1000"]}'),
    "endless": without_end,
    "closed": close,
    "exit": lambda: sys.exit(4),
    "half a line": half,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "hang": sleep,
    "eat": eat,
    "twice": lambda: say(OBJECT + OBJECT),
    "noisy": noise,
    "stay": stay,
}


def main(how: str) -> None:
    """Answer two requests as a target does, and the third as one does not."""
    if how in FIRST:
        FIRST[how]()
        return
    say(HELLO)
    for count, _ in enumerate(sys.stdin, 1):
        if count == 3:
            LATER[how]()
        else:
            say('{"result":null}\n')


if __name__ == "__main__":
    main(sys.argv[1])
