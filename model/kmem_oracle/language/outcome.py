"""What came of a call, up to addresses: so that two targets, which place objects each in its way, compare."""

from __future__ import annotations

from typing import Final, NamedTuple

from kmem_oracle.language.script import Op
from kmem_spec.apis import APIS
from kmem_spec.calls import Answer, Call
from kmem_spec.expect import expect
from kmem_spec.kmem_cache import alignment
from kmem_spec.profile import Profile
from kmem_spec.units import PAGE_SIZE, ZERO_SIZE_PTR

NUMBERS: Final = frozenset({"measure", "describe", "compute", "adjust", "bulk"})  # calls that give a number
CREATES: Final = frozenset({"kmem_cache_create", "kmem_cache_create_26"})
OF_CACHE: Final = frozenset({"kmem_cache_alloc", "kmem_cache_zalloc"})
OF_LENGTH_UNKNOWN: Final = frozenset({"kstrdup", "kstrndup"})  # what they make is as long as a string is


class Outcome(NamedTuple):
    """NULL or not, numbers, zeroes, contents, alignment in words; usable bytes, -1 where nobody saw them."""

    words: str
    usable: int = -1

    def __str__(self) -> str:
        return self.words if self.usable < 0 else f"{self.words}, {self.usable} bytes usable"


def alike(one: Outcome, two: Outcome) -> bool:
    """Say whether two outcomes of a call are the same, as far as both were seen."""
    return one.words == two.words and (one.usable == two.usable or min(one.usable, two.usable) < 0)


class Outcomes:
    """The outcomes of one target's calls, in order."""

    def __init__(self, profile: Profile) -> None:
        """Know no cache."""
        self._profile = profile
        self._aligned: dict[int, int] = {}  # address of a cache, and the alignment of its objects
        self._of_items = 1  # alignment of the objects of the last bulk call

    def of(self, op: Op, call: Call, answer: Answer) -> Outcome:
        """Say what came of a call."""
        api = APIS[op.api]
        words: list[str] = []
        if call.api != op.api:
            words.append("not made, since its object had changed")
        elif api.role in NUMBERS or api.name == "is_vmalloc_addr":
            words.append(str(answer.result))
        elif api.role in ("item", "locate") or (api.makes and api.role != "split"):
            words.append(_place(answer.result, self._due(call, answer.result)))
        if api.role == "bulk":
            self._of_items = PAGE_SIZE if api.family == "page" else self._aligned.get(call.args[0], 1)
        elif api.name in CREATES and answer.result:
            _, size, align, flags = call.args[:4]
            line, minimum = self._profile.cache_line, self._profile.minimum_align
            self._aligned[answer.result] = alignment(size, align, flags, line, minimum) if size else 1
        if answer.nonzero >= 0:
            words.append(f"byte {answer.nonzero} not zero")
        if answer.changed >= 0:
            words.append(f"byte {answer.changed} changed")
        return Outcome(", ".join(words) or "done", answer.usable)

    def _due(self, call: Call, result: int) -> int:
        """Return the alignment in bytes that the call asks for; what stays where it is owes none."""
        api = APIS[call.api]
        if api.role == "item":
            return self._of_items
        if call.api in OF_CACHE:
            return self._aligned.get(call.args[0], 1)
        if api.family == "pool" or api.role not in ("allocate", "resize", "copy", "map"):
            return 1
        if api.role == "resize" and call.args[0] == result:
            return 1
        asked = expect(call, self._profile)
        return asked.minimum if call.api in OF_LENGTH_UNKNOWN else max(asked.minimum, asked.natural)


def _place(result: int, due: int) -> str:
    """Say what kind of address came, and whether it has the alignment that was asked for."""
    if result == 0:
        return "NULL"
    if result == ZERO_SIZE_PTR:
        return "ZERO_SIZE_PTR"
    return "an object" if result % due == 0 else f"an object not aligned to {due}"
