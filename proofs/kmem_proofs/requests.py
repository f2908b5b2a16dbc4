"""Obligations of what calls ask for, and of the rules that their outcomes fall under: for all sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from kmem_model.area import Areas
from kmem_model.slab import Cache
from kmem_proofs.area import SPACE
from kmem_proofs.case import Case, Values, implies
from kmem_proofs.masks import mask_of, no_bits
from kmem_proofs.mutants import requests as mutants
from kmem_proofs.mutants.requests import Premises
from kmem_proofs.obligations import Obligation, Rows, listed, obligation
from kmem_proofs.slabs import CACHE, B, arbitrary_cache
from kmem_proofs.spaces import arbitrary_space
from kmem_spec import area, cache, expect, gfp, kmem_cache, mem, page, slab
from kmem_spec.apis import APIS, Api
from kmem_spec.calls import Answer, Asked, Call, Family
from kmem_spec.clauses import CLAUSES
from kmem_spec.mem import SAMPLE
from kmem_spec.profile import Profile
from kmem_spec.units import ADDRESS_BITS, MAX_ORDER, NULL, PAGE_SIZE, SIZE_MAX
from kmem_spec.vmalloc import INT_MAX

Rule = Callable[[Asked, Answer], bool]
PLACED: Final = ("SLAB-ALIGN", "SLAB-ALIGN-POWER", "SLAB-ALIGN-DIVISOR", "SLAB-CLASS")
FAMILIES: Final[tuple[Family, ...]] = ("kmalloc", "kv", "cache", "pool", "page", "exact", "vmalloc", "vmap")
OF_HANDLES: Final = ("kmem_cache_alloc", "kmem_cache_zalloc", "mempool_alloc")
LIMITED: Final = ("kmalloc", "kvmalloc", "__get_free_pages", "alloc_pages_exact", "vmalloc", "vmap")
POWERS: Final = tuple(1 << shift for shift in range(3, 23))


def request(case: Case) -> Asked:
    """Return any request for memory, of any size that two factors below 2^64 can make."""
    asked = SAMPLE._replace(
        size=case.number("size"),
        limit=case.number("limit"),
        minimum=case.number("minimum"),
        natural=case.number("natural"),
        divisor=case.number("divisor"),
        slot=case.number("slot"),
        zero_from=case.number("zero_from"),
        zero_to=case.number("zero_to"),
        keep=case.number("keep"),
    )
    case.assume(asked.size >= 0, asked.limit >= 1, asked.limit <= SIZE_MAX, asked.keep >= 0)
    return asked


def extent_holds_all(case: Case, code: Callable[[Asked, int], int]) -> Sequence[bool]:
    """An extent has what was asked for and what ksize gives, and no more: but of pages whole ones."""
    family = FAMILIES[case.choose("family", range(len(FAMILIES)))]
    asked, usable = request(case)._replace(family=family), case.number("usable")
    extent = case.call(code, asked, usable)
    least = case.either(asked.size < usable, usable, asked.size)
    if family in ("page", "exact", "vmalloc", "vmap"):
        return [extent >= least, extent < least + PAGE_SIZE, extent % PAGE_SIZE == 0]
    return [extent == least]


def resize(case: Case, code: Callable[..., Asked]) -> tuple[Asked, Asked, bool, bool]:
    """Return a request to resize, what it asks for, whether all calls zeroed, and whether it stays."""
    asked = request(case)
    case.assume(asked.keep == 0, asked.zero_from == 0)
    zeroed, stays = (case.choose(name, (0, 1)) == 1 for name in ("zeroed", "stays"))
    kept, since = case.number("kept"), case.number("since")
    case.assume(kept >= 1, since >= 0)
    now = case.call(code, asked, keep=kept, zero_from=since, zeroed=zeroed, stays=stays)
    return asked, now, zeroed, stays


def what_stays_is_not_placed(case: Case, code: Callable[..., Asked]) -> Sequence[bool]:
    """No rule of places speaks of an object that stays; of one that moves they speak as of a new one."""
    asked, now, _, stays = resize(case, code)
    before, after = ([CLAUSES[name].applies(each) for name in PLACED] for each in (asked, now))
    return [one == (other & (not stays)) for one, other in zip(after, before, strict=True)]


def new_bytes_are_promised(case: Case, code: Callable[..., Asked]) -> Sequence[bool]:
    """Zeroes are promised from the largest size yet to the new one, if each call so far asked for them."""
    asked, now, zeroed, _ = resize(case, code)
    case.assume((asked.zero_to == 0) | (asked.zero_to == asked.size))
    promised, since = zeroed & (asked.zero_to > 0), case.number("since")
    applies = CLAUSES["SLAB-REALLOC-ZERO"].applies(now)
    offset = case.number("offset")
    nonzero = CLAUSES["SLAB-REALLOC-ZERO"].holds(now, Answer(NULL, nonzero=offset)) ^ True
    return [
        applies == (mem.is_served(asked) & promised & (since < asked.size)),
        implies(applies, nonzero == ((since <= offset) & (offset < asked.size))),
    ]


def old_bytes_are_kept(case: Case, code: Callable[..., Asked]) -> Sequence[bool]:
    """SLAB-REALLOC-KEEP speaks of each resize that is served, and of just the bytes that come over."""
    asked, now, _, _ = resize(case, code)
    changed = case.number("changed")
    keep = CLAUSES["SLAB-REALLOC-KEEP"]
    kept = keep.holds(now, Answer(NULL, changed=changed))
    lost = (changed >= 0) & (changed < case.number("kept"))
    return [keep.applies(now) == mem.is_served(asked), kept == (lost ^ True)]


def any_of_handles(case: Case) -> str:
    """Return any call for an object of a cache or pool."""
    return OF_HANDLES[case.choose("api", range(len(OF_HANDLES)))]


def of_a_handle(
    case: Case, code: Callable[..., Asked], api: str, mask: int = gfp.GFP_KERNEL
) -> tuple[Asked, int, int, int]:
    """Return what a request for an object of a cache or pool asks for; its handle, size and alignment."""
    handle, size, align = (case.number(name) for name in ("handle", "size", "align"))
    case.assume(size >= 1, align >= 1)
    asked = case.call(code, Call(api, (handle, mask)), handle, size, align, constructed=False)
    return asked, handle, size, align


def object_is_its_caches(case: Case, code: Callable[..., Asked]) -> Sequence[bool]:
    """An object has its cache's size and alignment, is its cache's, and owes no size class."""
    asked, handle, size, align = of_a_handle(case, code, any_of_handles(case))
    at = Answer(case.number("at"))
    aligned = kmem_cache.object_has_its_alignment(asked, at) == (at.result % align == 0)
    return [aligned, asked.size == size, asked.handle == handle, asked.slot == 0]


def object_is_zeroed(case: Case, code: Callable[..., Asked]) -> Sequence[bool]:
    """All of an object is promised zero if the call's name or its mask says so, none of it otherwise."""
    api, (mask, (flag,)) = any_of_handles(case), mask_of(case, gfp.ZERO)
    asked, _, size, _ = of_a_handle(case, code, api, mask)
    zeroes = (flag == 1) | (api == "kmem_cache_zalloc")
    return [asked.zero_from == 0, asked.zero_to == case.either(zeroes, size, 0)]


def object_is_served(case: Case, code: Callable[..., Asked]) -> Sequence[bool]:
    """No cache is too large for its own objects: each request may be met."""
    asked, *_ = of_a_handle(case, code, any_of_handles(case))
    return [CLAUSES["MEM-NULL"].applies(asked)]


def limit_is_the_familys(case: Case, code: Callable[[Api, Profile], int]) -> Sequence[bool]:
    """Each call is limited as its family is, by the profile's numbers."""
    api = APIS[LIMITED[case.choose("api", range(len(LIMITED)))]]
    order = case.choose("max_order", range(MAX_ORDER + 1))
    kmalloc_max, vmalloc_max = case.number("kmalloc_max"), case.number("vmalloc_max")
    profile = Profile(max_order=order, kmalloc_max=kmalloc_max, vmalloc_max=vmalloc_max)
    limits = {"kmalloc": kmalloc_max, "kv": INT_MAX, "vmalloc": vmalloc_max, "vmap": vmalloc_max}
    return [case.call(code, api, profile) == limits.get(api.family, PAGE_SIZE << order)]


def largest_order_is_served(case: Case, code: Callable[[Api, Profile], int]) -> Sequence[bool]:
    """PAGE-ORDER-MAX speaks of an order exactly if it is above the profile's largest."""
    api, most = APIS["__get_free_pages"], case.choose("max_order", (0, MAX_ORDER))
    order = case.number("order")
    case.assume(order >= 0, order != ADDRESS_BITS)  # which is what larger ones are taken for
    limit = case.call(code, api, Profile(max_order=most))
    asked = SAMPLE._replace(size=expect.size_asked(api, (gfp.GFP_KERNEL, order)), limit=limit)
    return [CLAUSES["PAGE-ORDER-MAX"].applies(asked) == (order > most)]


def one_rule_speaks(case: Case, code: Premises, keep: bool, least: int) -> Sequence[bool]:
    """Of each size exactly one of the rules says what comes: none is forgotten, no two contradict."""
    asked = request(case)
    case.assume((asked.keep > 0) if keep else (asked.keep == 0), asked.size >= least)
    found = 0
    for premise in code:
        found = found + case.call(premise, asked)
    return [found == 1]


def power_is_aligned_for_all(case: Case, code: Rule) -> Sequence[bool]:
    """SLAB-ALIGN-POWER asks no less of a power of two than SLAB-ALIGN and SLAB-ALIGN-DIVISOR do."""
    size, at = case.choose("natural", POWERS), Answer(case.number("at"))
    asked = SAMPLE._replace(size=size, natural=size, divisor=size)
    case.assume(case.call(code, asked, at))
    return [rule.holds(asked, at) for rule in (CLAUSES["SLAB-ALIGN"], CLAUSES["SLAB-ALIGN-DIVISOR"])]


def block_starts_on_a_page(case: Case, code: Rule) -> Sequence[bool]:
    """PAGE-ALIGN asks no less of a block than PAGE-EXACT does."""
    length, at = PAGE_SIZE << case.choose("order", range(MAX_ORDER + 1)), Answer(case.number("at"))
    asked = SAMPLE._replace(size=length, minimum=PAGE_SIZE, natural=length)
    case.assume(case.call(code, asked, at))
    return [CLAUSES["PAGE-EXACT"].holds(asked, at)]


def class_holds_the_size(case: Case, code: Rule) -> Sequence[bool]:
    """SLAB-CLASS asks no less than MEM-USABLE does."""
    size, got = case.number("size"), Answer(mem.PLACE, usable=case.number("usable"))
    case.assume(size >= 1, size <= PAGE_SIZE << MAX_ORDER)
    asked = SAMPLE._replace(size=size, slot=slab.size_class(size))
    case.assume(case.call(code, asked, got))
    return [CLAUSES["MEM-USABLE"].holds(asked, got)]


def frames_differ(case: Case, code: Callable[[area.Space, int], bool]) -> Sequence[bool]:
    """VM-FRAME, for people: no two pages have one frame of their own."""
    space, one, other = arbitrary_space(case, Areas), case.number("one"), case.number("other")
    case.assume(case.call(code, space, one), case.call(code, space, other))
    frame = space.frames.get(one, area.NOTHING)
    return [implies((frame != area.NOTHING) & (space.frames.get(other, area.NOTHING) == frame), one == other)]


def held_frames_differ(case: Case, code: Callable[[area.Space, int], bool]) -> Sequence[bool]:
    """VM-HELD, for people: no two frames are held for one page."""
    space, one, other = arbitrary_space(case, Areas), case.number("one"), case.number("other")
    case.assume(case.call(code, space, one), case.call(code, space, other))
    held = space.backing.get(one, area.NOTHING)
    return [implies((held != area.NOTHING) & (space.backing.get(other, area.NOTHING) == held), one == other)]


def pages_have_one_slab(case: Case, code: Callable[[cache.Slabs, int, int], bool]) -> Sequence[bool]:
    """SLAB-OWNER, for people: no page is in two slabs of a cache."""
    slabs, number = arbitrary_cache(case, Cache), case.number("page")
    one, other = case.number("slab"), case.number("second")
    for base in (one, other):
        case.assume(CLAUSES["SLAB-OWNER"].applies(slabs, base, number))
        case.assume(case.call(code, slabs, base, number))
    return [one == other]


def premises(*names: str) -> Premises:
    """Return the premises of clauses."""
    return tuple(CLAUSES[name].applies for name in names)


# One rule for each size: who asks, how much at least, keeping an old object or not, and the rules.
SPOKEN_OF: Final = (
    ("SLAB-MAX/one_rule", False, 0, ("MEM-NULL", "SLAB-ZERO-SIZE", "SLAB-MAX", "SLAB-ARRAY")),
    ("SLAB-REALLOC-FREE/one_rule", True, 0, ("MEM-NULL", "SLAB-REALLOC-FREE", "SLAB-MAX", "SLAB-ARRAY")),
    ("KV-MAX/one_rule", False, 0, ("MEM-NULL", "SLAB-ZERO-SIZE", "KV-MAX", "KV-ARRAY")),
    ("VM-MAX/one_rule", False, 0, ("MEM-NULL", "VM-ZERO-SIZE", "VM-MAX", "VM-ARRAY")),
    ("VM-REALLOC-FREE/one_rule", True, 0, ("MEM-NULL", "VM-REALLOC-FREE", "VM-MAX", "VM-ARRAY")),
    ("PAGE-ORDER-MAX/one_rule", False, 1, ("MEM-NULL", "PAGE-ORDER-MAX")),
)
ASKING: Final[Values] = {
    "size": 64,
    "limit": 1 << 22,
    "minimum": 8,
    "natural": 64,
    "divisor": 64,
    "slot": 64,
    "zero_from": 0,
    "zero_to": 64,
    "keep": 0,
    "usable": 96,
    "kept": 32,
    "since": 32,
    "zeroed": 1,
    "stays": 0,
    "offset": 40,
    "changed": -1,
}
HANDLED: Final[Values] = {"api": 0, "handle": 4096, "size": 40, "align": 64, "at": 128, **no_bits(gfp.ZERO)}


ROWS: Final[Rows] = {
    "MEM-APART/extent_of/exact": (extent_holds_all, expect.extent_of),
    "SLAB-ALIGN/resized/exact": (what_stays_is_not_placed, expect.resized),
    "SLAB-REALLOC-ZERO/resized/exact": (new_bytes_are_promised, expect.resized),
    "SLAB-REALLOC-KEEP/resized/exact": (old_bytes_are_kept, expect.resized),
    "CACHE-ALIGN/of_handle/exact": (object_is_its_caches, expect.of_handle),
    "MEM-ZERO/of_handle/exact": (object_is_zeroed, expect.of_handle),
    "MEM-NULL/of_handle/implies": (object_is_served, expect.of_handle),
    "SLAB-MAX/limit_of/exact": (limit_is_the_familys, expect.limit_of),
    "PAGE-ORDER-MAX/limit_of/exact": (largest_order_is_served, expect.limit_of),
    "SLAB-ALIGN-POWER/others/implies": (power_is_aligned_for_all, slab.address_has_natural_alignment),
    "PAGE-ALIGN/page/implies": (block_starts_on_a_page, page.block_is_naturally_aligned),
    "SLAB-CLASS/usable/implies": (class_holds_the_size, slab.usable_is_the_class),
    "VM-FRAME/two_pages/implies": (frames_differ, area.frame_is_of_its_page),
    "VM-HELD/two_frames/implies": (held_frames_differ, area.held_frame_is_mapped),
    "SLAB-OWNER/page/implies": (pages_have_one_slab, cache.page_names_its_slab),
}
WITNESSES: Final[dict[str, Values]] = {
    "MEM-APART/extent_of/exact": {**ASKING, "family": 4},
    "SLAB-ALIGN/resized/exact": {**ASKING, "zero_to": 0},
    "SLAB-REALLOC-ZERO/resized/exact": ASKING,
    "SLAB-REALLOC-KEEP/resized/exact": ASKING,
    "CACHE-ALIGN/of_handle/exact": HANDLED,
    "MEM-ZERO/of_handle/exact": HANDLED,
    "MEM-NULL/of_handle/implies": HANDLED,
    "SLAB-MAX/limit_of/exact": {"api": 0, "max_order": 10, "kmalloc_max": 1 << 22, "vmalloc_max": 1 << 45},
    "PAGE-ORDER-MAX/limit_of/exact": {"max_order": 10, "order": 10},
    "SLAB-ALIGN-POWER/others/implies": {"natural": 64, "at": 128},
    "PAGE-ALIGN/page/implies": {"order": 1, "at": 2 * PAGE_SIZE},
    "SLAB-CLASS/usable/implies": {"size": 65, "usable": 96},
    "VM-FRAME/two_pages/implies": {**SPACE, "one": 2 * PAGE_SIZE, "other": 2 * PAGE_SIZE},
    "VM-HELD/two_frames/implies": {**SPACE, "one": 70 * PAGE_SIZE, "other": 70 * PAGE_SIZE},
    "SLAB-OWNER/page/implies": {**CACHE, "slab": B, "second": B, "page": B // PAGE_SIZE},
}


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    for name, keep, least, names in SPOKEN_OF:
        served, *others = premises(*names)
        yield obligation(
            f"{name}/implies",
            partial(one_rule_speaks, keep=keep, least=least),
            (served, *others),
            witness={**ASKING, "keep": 32 if keep else 0},
            mutants=[(says, (changed, *others)) for says, changed in mutants.SERVED[: 2 - least]],
        )
    yield from listed(ROWS, WITNESSES, mutants.FAULTS)
