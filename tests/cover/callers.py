"""What a caller may do with ids: follows a script and says where it breaks the caller's rules."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from kmem_oracle.language.script import Op, items_of
from kmem_spec.apis import APIS, Api, Parameter
from kmem_spec.calls import Call, Family
from kmem_spec.expect import AREAS, expect
from kmem_spec.gfp import DIRECT_RECLAIM, ZERO, may_sleep
from kmem_spec.judging.docket import mask_is_legal_for
from kmem_spec.judging.objects import NO_OP, TAKES_ZERO_SIZE
from kmem_spec.kmem_cache import creation_is_legal
from kmem_spec.mem import SAMPLE, is_served
from kmem_spec.profile import Profile
from kmem_spec.units import PAGE_SIZE, round_up

ENDS = ("free", "free bulk")


@dataclass(frozen=True)
class Given:
    """A live object: what a caller has to know of it."""

    family: Family
    size: int
    order: int = 0
    home: int = 0


@dataclass
class Home:
    """A live cache or pool; `cache` is the one that a pool's elements are of."""

    constructor: bool = False
    reserve: int = 0
    failing: bool = False
    cache: int = 0


@dataclass
class Caller:
    """Takes calls one by one; every request that can be met is met, any other is refused.

    forgotten   objects whose id was given to another while they lived
    """

    profile: Profile
    live: dict[int, Given] = field(default_factory=dict)
    homes: dict[int, Home] = field(default_factory=dict)
    held: Counter[int] = field(default_factory=Counter)
    depth: int = 0
    forgotten: int = 0

    def wrong(self, op: Op) -> str:
        """Take a call; return what is wrong with it, "" for nothing. What is on nothing live is skipped."""
        api = APIS[op.api]
        if len(op.args) != len(api.parameters):
            return "has other arguments"
        asked = dict(zip(api.parameters, op.args, strict=True))
        if "gfp" in asked and not mask_is_legal_for(api, SAMPLE._replace(gfp=asked["gfp"])):
            return "has an illegal mask"
        if self.depth and (api.sleeps or asked.get("gfp", 0) & DIRECT_RECLAIM):
            return "may sleep in atomic context"
        if "cache" in asked and asked["cache"] not in self.homes and asked["cache"]:
            return "is on a cache that does not live"
        if "pool" in asked and asked["pool"] not in self.homes and asked["pool"]:
            return "is on a pool that does not live"
        if api.role in ENDS:
            return self._free(api, op, asked)
        if api.role in ("create", "destroy", "adjust", "describe", "set"):
            return self._set_up(api, op, asked)
        if api.role in ("measure", "locate", "look", "compute"):
            return self._look(api, asked)
        return self._make(api, op, asked)

    def _make(self, api: Api, op: Op, asked: dict[Parameter, int]) -> str:
        """Take a call that makes objects."""
        if op.out <= 0:
            return "makes what nobody names"
        pointer = asked.get("pointer", 0)
        if api.role in ("resize", "split") and pointer > 0:
            return self._remake(api, op, asked)
        home = asked.get("cache", asked.get("pool", 0))
        if home and self.homes[home].constructor and asked["gfp"] & ZERO:
            return "asks for zeroes and for constructed state"
        waits = "pool" in asked and self.homes[home].failing and may_sleep(asked["gfp"])
        if waits and self.held[home] >= self.homes[home].reserve:
            return "waits for ever"
        size = asked.get("size", 0)
        if api.role == "copy":
            source = self.live.get(asked["source"])
            if source is None:
                return ""
            if api.name == "kmemdup" and size > source.size:
                return "copies more than there is"
            size = size if api.name == "kmemdup" else source.size
        elif not home and api.role != "bulk":
            request = expect(Call(op.api, op.args), self.profile)
            if not is_served(request):
                return ""
            size = request.size
        if api.role == "map":
            pages = [self.live.get(asked["vector"] + at) for at in range(asked["count"])]
            if any(page is None or page.family != "page" for page in pages):
                return "maps what is no page"
        family = "page" if api.role == "bulk" and not home else api.family
        for at in range(asked["count"] if api.role == "bulk" else 1):
            self._hold(op.out + at, Given(family, size, asked.get("order", 0), home))
        return ""

    def _remake(self, api: Api, op: Op, asked: dict[Parameter, int]) -> str:
        """Take a call that makes something of an object."""
        pointer = asked["pointer"]
        old = self.live.get(pointer)
        if old is None:
            return ""
        if old.family not in api.takes:
            return f"takes a {old.family}"
        if api.role == "split":
            if asked["order"] != old.order:
                return "has another order"
            del self.live[pointer]
            for at in range(items_of(api, op.args)):
                self._hold(op.out + at, Given("page", PAGE_SIZE))
            return ""
        if op.out != pointer:
            return "forgets what it resized"
        request = expect(Call(op.api, (0, *op.args[1:])), self.profile)
        if request.size == 0:
            del self.live[pointer]
        elif is_served(request):
            self.live[pointer] = Given(old.family, request.size)
        return ""

    def _free(self, api: Api, op: Op, asked: dict[Parameter, int]) -> str:
        """Take a call that frees objects."""
        if "vector" in asked:
            items = [asked["vector"] + at for at in range(asked["count"])]
        else:
            items = [asked["pointer"]]
            if items[0] <= 0:
                least = -1 if op.api in TAKES_ZERO_SIZE else 0
                return "" if op.api in NO_OP and items[0] >= least else "frees nothing"
        if any(item not in self.live for item in items):
            return ""
        for item in items:
            given = self.live[item]
            if given.family not in api.takes:
                return f"frees a {given.family}"
            if "order" in asked and asked["order"] != given.order:
                return "has another order"
            if op.api == "free_pages_exact" and asked["size"] != given.size:
                return "has another size"
            if asked.get("cache", asked.get("pool", given.home)) != given.home:
                return "is of another cache or pool"
        for item in items:
            self.held[self.live.pop(item).home] -= 1
        return ""

    def _set_up(self, api: Api, op: Op, asked: dict[Parameter, int]) -> str:
        """Take a call on a cache or a pool, or one to the driver."""
        home = asked.get("cache", asked.get("pool", 0))
        if api.role == "create" and api.family == "cache":
            if not creation_is_legal(asked["name"], asked["size"], asked["align"]):
                return "creates no cache"
            if asked.get("dtor") and not asked["ctor"]:
                return "has a destructor alone"
            self.homes[op.out] = Home(constructor=asked["ctor"] != 0)
        elif api.role == "create":
            if home and self.homes[home].constructor:
                return "has elements with a constructor"
            self.homes[op.out] = Home(reserve=asked["number"], cache=home)
        elif api.role == "destroy" and home:
            users = [other for other in self.homes.values() if other.cache == home]
            if self.held[home] or users:
                return "destroys what is in use"
            del self.homes[home]
        elif op.api == "mempool_resize":
            if asked["number"] <= 0:
                return "keeps nothing"
            self.homes[home].reserve = min(self.homes[home].reserve, asked["number"])
        elif op.api == "mempool_fail":
            self.homes[home].failing = asked["number"] > 0
        elif op.api in ("preempt_disable", "preempt_enable"):
            self.depth += 1 if op.api == "preempt_disable" else -1
            return "" if self.depth >= 0 else "leaves a context that it is not in"
        return ""

    def _look(self, api: Api, asked: dict[Parameter, int]) -> str:
        """Take a call that looks at an object."""
        given = self.live.get(asked.get("pointer", 0))
        if given is None:
            return ""
        if given.family not in api.takes:
            return f"takes a {given.family}"
        room = round_up(given.size, PAGE_SIZE) if given.family in AREAS else max(given.size, 1)
        return "" if asked.get("offset", 0) < room else "looks behind an object"

    def _hold(self, item: int, given: Given) -> None:
        """Enter a new object."""
        self.forgotten += item in self.live
        self.live[item] = given
        self.held[given.home] += 1
