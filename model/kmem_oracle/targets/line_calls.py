"""The kernel's calls as requests to a process, and what stands behind its hello line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from kmem_oracle.targets.access import Access
from kmem_oracle.targets.by_bytes import Unseen, pattern
from kmem_oracle.targets.line_memory import READ_AND_WRITE, Requested, process_memory
from kmem_oracle.targets.lines import HELP, Lines, number, shown
from kmem_oracle.targets.opened import LARGEST, Function, Imprint, Opened, Unusable
from kmem_spec.apis import APIS, KERNEL_APIS, Api
from kmem_spec.units import SIZE_MAX

VERSION: Final = 1
SETTINGS: Final = ("fail_nth", "preempt_disable", "preempt_enable")
KNOWN: Final = frozenset({*KERNEL_APIS, *SETTINGS, *READ_AND_WRITE, "compare", "mempool_fail"})
EXACT: Final = 1 << 53  # from here on a number of JSON is not one and the same to every reader
HIGHEST_BYTES: Final = (1 << 63) - 1  # a size beyond that is as absurd
ADDRESSES: Final = frozenset({"pointer", "source", "cache", "pool"})
CREATES: Final = frozenset({"kmem_cache_create", "kmem_cache_create_26"})
LEFT_OUT: Final = frozenset({"offset", "array"})  # parameters that no request has
SILENT: Final = frozenset({"free", "free bulk", "destroy", "split", "set"})  # roles without a result


def open_command(command: str) -> Opened:
    """Start a process and return its calls.

    Errors   Unusable
    """
    lines = Lines(command)
    hello = lines.hello()
    if hello.get("kmem-oracle") != VERSION:
        said = shown(hello)
        raise Unusable(f'{lines.label}: began with {said}, not with {{"kmem-oracle": {VERSION}, …}}; {HELP}')
    calls = Calls(lines)
    names = _names(lines, hello)
    if not names & set(KERNEL_APIS):
        raise Unusable(f"{lines.label}: its hello line names none of the kernel's calls; {HELP}")
    if "mempool_fail" not in names:
        names -= {"mempool_create"}
    functions = {name: calls.function(APIS[name]) for name in APIS if name in names}
    profile, largest = hello.get("profile", ""), hello.get("largest", LARGEST)
    if not isinstance(profile, str) or not isinstance(largest, int):
        raise Unusable(f"{lines.label}: in its hello line, profile is a name and largest a number; {HELP}")
    access: Access = Unseen()
    if names >= READ_AND_WRITE:
        access = Requested(lines, compares="compare" in names)
    if "pid" in hello:
        access = process_memory(lines, hello["pid"])

    def watch(asleep: Callable[[], None]) -> None:
        lines.asleep = asleep

    sleeps = watch if hello.get("sleeps") is True else None
    seen = not isinstance(access, Unseen)
    return Opened(functions, access, profile, min(largest, LARGEST), sleeps, seen=seen)


def _names(lines: Lines, hello: Mapping[str, object]) -> set[str]:
    """Return the calls that the hello line names.

    Errors   Unusable where one is not known
    """
    given = hello.get("calls")
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise Unusable(f"{lines.label}: in its hello line, calls is no list of names; {HELP}")
    unknown = sorted(set(given) - KNOWN)
    if unknown:
        names = shown(", ".join(unknown))
        raise Unusable(f"{lines.label}: its hello line names unknown calls: {names}; {HELP}")
    return set(given)


class Calls:
    """The calls of a process, as a driver makes them."""

    def __init__(self, lines: Lines) -> None:
        """Make them by requests to it."""
        self._lines = lines

    def function(self, api: Api) -> Function:
        """Return one call over plain integers."""
        if api.name in CREATES:
            return self._creating(api.name)
        if api.name == "mempool_create":
            return self._create_pool
        hexed = [parameter in ADDRESSES for parameter in api.parameters if parameter not in LEFT_OUT]
        head, ask, decoded = f'{{"call":"{api.name}","args":[', self._lines.ask, self._decoder(api)

        def run(*args: int | list[int]) -> int | list[int]:
            written = [written_as(arg, address=address) for arg, address in zip(args, hexed, strict=True)]
            request = f"{head}{','.join(written)}]}}\n".encode("ascii")
            return decoded(request, ask(request))

        return run

    def _creating(self, name: str) -> Function:
        """Return a call that makes a cache."""

        def run(text: bytes | None, size: int, align: int, flags: int, *functions: Imprint | None) -> int:
            title = "null" if text is None else f'"{text.decode("ascii")}"'
            numbers = [written_as(value) for value in (size, align, flags)]
            args = ",".join([title, *numbers, *(self._imprint(given, size) for given in functions)])
            request = f'{{"call":"{name}","args":[{args}]}}\n'.encode("ascii")
            return self._address(request, self._lines.ask(request))

        return run

    def _create_pool(self, count: int, _give: object, _take_back: object, size: int) -> int:
        """Make a pool over functions of the process's own."""
        args = f"{written_as(count)},{written_as(size)}"
        request = f'{{"call":"mempool_create","args":[{args}]}}\n'.encode("ascii")
        return self._address(request, self._lines.ask(request))

    def _imprint(self, given: Imprint | None, size: int) -> str:
        """Return a constructor or destructor as a request has it: its number, and what it writes."""
        if given is None:
            return "null"
        imprints = self._lines.imprints
        identifier = len(imprints) + 1
        imprints[identifier] = given
        return f'{{"id":{identifier},"bytes":"{pattern(given.pattern, size).hex()}"}}'

    def _decoder(self, api: Api) -> Callable[[bytes, object], int | list[int]]:
        """Return what reads the result of a call."""
        if api.role == "bulk":
            return self._list
        if api.role in SILENT:
            return lambda _request, _result: 0
        if api.role in ("measure", "describe"):
            return lambda request, result: min(self._address(request, result), HIGHEST_BYTES)
        if api.role in ("adjust", "compute"):
            return self._signed
        return self._address

    def _address(self, request: bytes, result: object) -> int:
        """Return a result that is not negative.

        Errors   Unusable
        """
        value = result if type(result) is int else number(result)
        if value is None or not 0 <= value <= SIZE_MAX:
            self._lines.senseless(request, result)
        return value

    def _signed(self, request: bytes, result: object) -> int:
        """Return a result that may be negative.

        Errors   Unusable
        """
        value = number(result)
        return value if value is not None and -EXACT < value < 0 else self._address(request, result)

    def _list(self, request: bytes, result: object) -> list[int]:
        """Return the addresses that a bulk call gave.

        Errors   Unusable
        """
        if result is None:
            return []
        if not isinstance(result, list):
            self._lines.senseless(request, result)
        return [self._address(request, item) for item in result]


def written_as(value: int | list[int], *, address: bool = False) -> str:
    """Return a number, an address or a list of addresses as a request has it."""
    if isinstance(value, list):
        return "[" + ",".join([f'"{item:#x}"' for item in value]) + "]"
    return f'"{value:#x}"' if address or value >= EXACT else str(value)
