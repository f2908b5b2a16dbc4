"""The calls of one script, each as a line of its program: arguments, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from kmem_oracle.language.script import ID_NULL, ID_ZERO_SIZE, Op, items_of
from kmem_oracle.vectors.lines import CTOR_BYTES, Line, allows, gives, placed, rules_for, shape_of, within
from kmem_spec.apis import APIS, Api, Parameter, argument
from kmem_spec.calls import Answer, Asked, Call
from kmem_spec.clauses import Clause
from kmem_spec.expect import AREAS, expect, of_handle
from kmem_spec.gfp import may_sleep
from kmem_spec.kmem_cache import alignment
from kmem_spec.mem import PLACE
from kmem_spec.profile import Profile
from kmem_spec.units import NULL, PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR

WORDS: Final[dict[Parameter, str]] = {
    "name": "name",
    "ctor": "ctor",
    "dtor": "dtor",
    "alloc_fn": "pool_alloc",
    "free_fn": "pool_free",
}
OF_PAGES: Final = frozenset({"__free_pages", "split_page", "vmap"})  # take struct pages
GIVES_PAGES: Final = frozenset({"alloc_pages", "alloc_pages_bulk"})


@dataclass(slots=True)
class Thing:
    """What a name of the program stands for.

    asked    what an object was asked for by
    high     bytes asked for at most so far
    zeroed   whether every call so far asked for zeroes
    least    of a pool, elements in reserve
    held     of a pool, elements that are out
    """

    asked: Asked
    high: int = 0
    zeroed: bool = False
    least: int = 0
    held: int = 0


class Writer:
    """Writes the calls of one script, and remembers what its names stand for."""

    def __init__(self, profile: Profile) -> None:
        """Know no name."""
        self.profile = profile
        self.things: dict[int, Thing] = {}
        self.old_cache = False  # whether a cache has a destructor
        self.rules: dict[str, Callable[[Api, Op], Line]] = {
            "allocate": self._allocate,
            "copy": self._copy,
            "bulk": self._bulk,
            "resize": self._resize,
            "split": self._split,
            "map": self._map,
            "free": self._free,
            "free bulk": self._free,
            "create": self._create,
            "destroy": self._free,
            "adjust": self._adjust,
            "measure": self._measure,
            "describe": self._describe,
            "locate": self._locate,
            "compute": self._compute,
            "look": self._look,
            "set": lambda _api, _op: {},
        }

    def line(self, op: Op) -> Line:
        """Return the line of one call."""
        api = APIS[op.api]
        return {"call": op.api, "args": " ".join(self._arguments(api, op))} | self.rules[api.role](api, op)

    def _arguments(self, api: Api, op: Op) -> Iterator[str]:
        """Yield the arguments as the reader takes them."""
        sign = "@" if api.name in OF_PAGES else "#"
        for kind, value in zip(api.parameters, op.args, strict=True):
            if kind in ("pointer", "source", "cache", "pool"):
                offset = argument(api, op.args, "offset")
                text = {ID_NULL: "0", ID_ZERO_SIZE: str(ZERO_SIZE_PTR)}.get(value, f"{sign}{value}")
                yield f"{text}+{offset}" if offset else text
            elif kind == "vector":
                yield f"{sign}{value}*{argument(api, op.args, 'count')}"
            elif kind == "array":
                yield f"&{op.out}*{argument(api, op.args, 'count')}"
            elif kind in WORDS:
                yield WORDS[kind] if value else "0"
            elif kind != "offset":
                yield f"{value:#x}" if kind in ("gfp", "flags") else str(value)

    def _asked(self, api: Api, op: Op) -> Asked:
        """Return what a call that makes objects asks for."""
        handle = argument(api, op.args, "cache") or argument(api, op.args, "pool")
        if not handle:
            plain = tuple(
                0 if kind in ("pointer", "source", "vector") else value
                for kind, value in zip(api.parameters, op.args, strict=True)
            )
            return expect(Call(api.name, plain), self.profile)
        home = self.things[handle].asked
        shape = (home.size, home.minimum)
        return of_handle(Call(api.name, op.args), handle, *shape, constructed=home.constructed != 0)

    def _object(self, api: Api, asked: Asked, out: int) -> Line:
        """Return what a call must give that makes an object."""
        self.things[out] = Thing(asked, asked.size, asked.zero_to > 0)
        rules = self._rules_of(api, asked)
        null, nothing = (allows(rules, asked, Answer(result)) for result in (NULL, ZERO_SIZE_PTR))
        align = placed(rules, asked)
        line: Line = {"as": out, "gives": "page" if api.name in GIVES_PAGES else "object"}
        if nothing and not align:
            return line | {"null": "no", "at": ZERO_SIZE_PTR, "bytes": 0}
        if not align:
            return line | {"null": "must"}
        return line | {"null": "may" if null else "no"} | shape_of(asked, align)

    def _rules_of(self, api: Api, asked: Asked) -> list[Clause]:
        """Return the rules of outcomes that a request is under."""
        return [each for each in rules_for(self.profile, api.name) if each.applies(asked)]

    def _allocate(self, api: Api, op: Op) -> Line:
        line = self._object(api, self._asked(api, op), op.out) | self._quiet(api, op)
        pool = self.things.get(argument(api, op.args, "pool"))
        if pool is not None:
            if pool.held < pool.least or may_sleep(argument(api, op.args, "gfp")):
                line["null"] = "no"
            pool.held += 1
        return line

    def _quiet(self, api: Api, op: Op) -> Line:
        """Return that a call must not sleep, where that is so."""
        sleeps = api.sleeps or "gfp" not in api.parameters or may_sleep(argument(api, op.args, "gfp"))
        return {} if sleeps else {"sleep": "no"}

    def _copy(self, api: Api, op: Op) -> Line:
        size = self.things[op.args[0]].asked.size
        string = api.name != "kmemdup"
        cut = argument(api, op.args, "size") if "size" in api.parameters else size
        size = min(size, cut + 1) if string else cut
        mask = argument(api, op.args, "gfp")
        asked = expect(Call("kmemdup", (0, size, mask)), self.profile)._replace(api=api.name)
        line = self._object(api, asked, op.out) | {"keep": size - string, "of": op.args[0]}
        return line | ({"string": size - 1} if string else {})

    def _bulk(self, api: Api, op: Op) -> Line:
        asked, count = self._asked(api, op), argument(api, op.args, "count")
        for place in range(count):
            self.things[op.out + place] = Thing(asked)
        pages = api.name in GIVES_PAGES
        if pages:
            asked = expect(Call("alloc_pages", (asked.gfp, 0)), self.profile)
        item = APIS["alloc_pages" if pages else "kmem_cache_alloc"]
        align = placed(self._rules_of(item, asked), asked)
        line: Line = {"as": op.out, "gives": "pages" if pages else "objects", "count": count}
        return line | {"fewer": "may" if pages else "no"} | shape_of(asked, align) | self._quiet(api, op)

    def _resize(self, api: Api, op: Op) -> Line:
        asked = self._asked(api, op)
        if op.args[0] in (ID_NULL, ID_ZERO_SIZE):
            return self._object(api, asked, op.out)
        old = self.things[op.args[0]]
        if asked.size == 0:
            kept = asked._replace(keep=old.asked.size)
            freed = [answer for answer in (NULL, ZERO_SIZE_PTR) if self._frees(api, kept, answer)]
            empty: Line = {"null": "must"} if NULL in freed else {"null": "no", "at": ZERO_SIZE_PTR}
            empty |= {"ends": op.args[0], "as": op.out, "bytes": 0}
            return gives("object") | empty
        strict = "size-classes" in self.profile.promises and api.family == "kmalloc"
        zero_from = old.asked.size if strict else old.high
        zeroed = old.zeroed and asked.zero_to > 0
        line = {"from": op.args[0]} | self._object(api, asked._replace(zero_to=0), op.out)
        self.things[op.out].high = max(old.high, asked.size)
        self.things[op.out].zeroed = zeroed
        if line["null"] == "must":
            self.things[op.out] = old
            return line
        line["keep"] = min(old.asked.size, asked.size)
        if zeroed and zero_from < asked.size:
            line |= {"zero_from": zero_from, "zero_to": asked.size}
        return line | self._quiet(api, op)

    def _frees(self, api: Api, asked: Asked, result: int) -> bool:
        """Say whether a resize to nothing may give this."""
        return allows(self._rules_of(api, asked), asked, Answer(result))

    def _split(self, api: Api, op: Op) -> Line:
        asked = expect(Call("alloc_pages", (0, 0)), self.profile)
        for place in range(items_of(api, op.args)):
            self.things[op.out + place] = Thing(asked)
        return {"splits": op.args[0], "as": op.out, "count": items_of(api, op.args), "bytes": PAGE_SIZE}

    def _map(self, api: Api, op: Op) -> Line:
        count = argument(api, op.args, "count")
        line = self._object(api, self._asked(api, op), op.out)
        return line | {"maps": argument(api, op.args, "vector"), "count": count}

    def _free(self, api: Api, op: Op) -> Line:
        for kind, value in zip(api.parameters, op.args, strict=True):
            several = argument(api, op.args, "count") if kind == "vector" else 1
            ends = kind in ("pointer", "vector") or (api.role == "destroy" and kind in ("cache", "pool"))
            if ends and value > 0:
                pool = self.things.get(argument(api, op.args, "pool"))
                if pool is not None and kind == "pointer":
                    pool.held -= 1
                line: Line = {"ends": value, "count": several}
                return line | ({"rest": 0} if api.role == "destroy" and self.old_cache else {})
        return {}

    def _create(self, api: Api, op: Op) -> Line:
        size, align = argument(api, op.args, "size"), argument(api, op.args, "align")
        minimum, line_bytes = self.profile.minimum_align, self.profile.cache_line
        due = minimum
        built = argument(api, op.args, "ctor")
        self.old_cache |= argument(api, op.args, "dtor") != 0
        if api.family == "cache":
            due = alignment(size, align, argument(api, op.args, "flags"), line_bytes, minimum)
        elif "cache" in api.parameters:
            home = self.things[argument(api, op.args, "cache")].asked
            size, due = home.size, home.minimum
        asked = expect(Call("kmalloc", (size, 0)), self.profile)
        asked = asked._replace(api=api.name, family=api.family, minimum=due, constructed=built)
        self.things[op.out] = Thing(asked, least=argument(api, op.args, "number"))
        must = not allows(self._rules_of(api, asked), asked, Answer(PLACE))
        line: Line = {"as": op.out, "gives": "handle", "null": "must" if must else "may"}
        return line | ({"built": CTOR_BYTES} if built else {})

    def _adjust(self, api: Api, op: Op) -> Line:
        if api.family == "pool":
            pool = self.things[op.args[0]]
            pool.least = min(pool.least, op.args[1])
        return {}

    def _measure(self, api: Api, op: Op) -> Line:
        if op.args[0] in (ID_NULL, ID_ZERO_SIZE):
            return gives("number") | within(0, 0)
        asked = self.things[op.args[0]].asked
        bounds = within(asked.slot, asked.slot) if asked.slot else within(asked.size)
        return gives("number") | bounds | {"widens": op.args[0]}

    def _describe(self, api: Api, op: Op) -> Line:
        return gives("uint") | within(self.things[op.args[0]].asked.size)

    def _locate(self, api: Api, op: Op) -> Line:
        if api.name == "vmalloc_to_page":
            offset = op.args[1] // PAGE_SIZE * PAGE_SIZE
            return {"gives": "frame", "of": op.args[0], "offset": offset}
        known = self.things.get(op.args[0])
        if known is None or known.asked.family in ("kv", "pool"):
            return {}
        area = int(known.asked.family in AREAS)
        return gives("bool") | within(area, area)

    def _compute(self, api: Api, op: Op) -> Line:
        asked = expect(Call(api.name, op.args), self.profile)
        rules = self._rules_of(api, asked)
        if api.name == "get_order":
            order = next(k for k in range(64) if allows(rules, asked, Answer(k)))
            return gives("int") | within(order, order) if rules else {}
        exact = asked.slot or (0 if asked.size == 0 else SIZE_MAX)
        return gives("number") | within(asked.slot or asked.size, exact) if rules else {}

    def _look(self, _api: Api, op: Op) -> Line:
        return {"from": op.args[0]}
