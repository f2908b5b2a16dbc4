"""Calls as C: each with what a driver does before and after it, through the functions of reproducer.c."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from kmem_oracle.language.outline import Row
from kmem_oracle.language.script import ID_PLACES, ID_ZERO_SIZE, Op, items_of
from kmem_oracle.language.syntax import HANDLES
from kmem_oracle.reports.c_values import function_of, value_of
from kmem_oracle.targets.opened import LARGEST
from kmem_spec import gfp
from kmem_spec.apis import APIS, Parameter, argument
from kmem_spec.expect import AREAS, WHOLE_PAGES, size_asked
from kmem_spec.units import PAGE_SIZE, round_up

_ADDRESSES: Final = frozenset({"alloc_pages", "vmalloc_to_page"})  # which give a struct page
_PAGES: Final = frozenset({"__free_pages", "split_page"})  # which take one
_WORDS: Final = frozenset({"__get_free_pages", "get_zeroed_page"})  # which give an unsigned long
STRINGS: Final = frozenset({"kstrdup", "kstrndup"})
_KEPT: Final = frozenset({"measure", "describe", "compute", "locate", "bulk"})  # whose result is a number


Shape = tuple[str, tuple[int, ...]]  # a call, and those of its arguments that are no ids


def shape_of(op: Op) -> Shape:
    """Return what of a call is no id."""
    return op.api, tuple(value for at, value in enumerate(op.args) if at not in ID_PLACES[op.api])


@dataclass(frozen=True, slots=True)
class Manner:
    """How the calls of a program are written.

    names     masks by name
    apis      calls that the target has
    apart     whether live objects are compared with each other
    slots     whether constructors and destructors are followed
    frames    whether frames behind areas are
    maps      ids of the areas that vmap made, which have the frames of others
    measured  whether the usable size of each object is kept
    watched   shape of the calls of which is counted how often they are served; None for none
    opens     whether caches and pools are counted
    strict    whether zeroes are due beyond the last size of a resized object, not the largest
    """

    names: Mapping[str, int]
    apis: frozenset[str]
    apart: bool
    slots: bool
    frames: bool
    maps: frozenset[int]
    measured: bool
    watched: Shape | None
    opens: bool
    strict: bool


def lines_for(row: Row, manner: Manner) -> list[str]:
    """Return the statements for one call."""
    op, _ = row
    call = Written(row, manner)
    lines = [*call.before(), call.statement()]
    if call.api.role in {"allocate", "copy", "resize", "bulk", "split", "map"}:
        lines.extend(call.after())
    if manner.opens and call.api.role == "create":
        lines.append(f"opened += {call.made.one()}.handle != NULL;")
    if op.out > 0 and manner.watched == shape_of(op):
        lines.append(f"tell({call.succeeded()});")
    if manner.slots and op.api != "check":
        lines.append("now++;")
    return lines


class Written:
    """One call as C."""

    def __init__(self, row: Row, manner: Manner) -> None:
        """Sort the labels: of what is made, of the objects that are taken, of the cache or pool."""
        self.op, labels = row
        self.api = APIS[self.op.api]
        self.manner = manner
        self.made = labels[0]
        self.asked = size_asked(self.api, self.op.args)
        kinds = [self.api.parameters[at] for at in ID_PLACES[self.op.api]]
        self._labels = dict(zip(kinds, labels[1:], strict=True))
        self._ids = {kind: argument(self.api, self.op.args, kind) for kind in kinds}
        self.gfp = argument(self.api, self.op.args, "gfp") | self.api.gfp
        self.zeroed = "true" if self.api.zeroes or self.gfp & gfp.ZERO else "false"

    @property
    def size(self) -> int:
        """Return the bytes that the call asks for, 0 where they are more than anybody touches."""
        return self.asked if self.asked <= LARGEST else 0

    @property
    def items(self) -> int:
        """Return how many objects the call makes or takes as an array."""
        return items_of(self.api, self.op.args)

    @property
    def home(self) -> str:
        """Return the cache or pool that is used; "" for none."""
        return next(
            (self._labels[kind].one() for kind in ("cache", "pool") if self._ids.get(kind, 0) > 0), ""
        )

    @property
    def object(self) -> str:
        """Return the object that is taken; "" for none, and for NULL and ZERO_SIZE_PTR."""
        return self._label("pointer", "source")

    def _label(self, *kinds: Parameter) -> str:
        """Return the label of the first of some parameters that is there, and is an id."""
        return next((self._labels[kind].one() for kind in kinds if self._ids.get(kind, 0) > 0), "")

    def array(self) -> str:
        """Return the array that is taken, as a pointer to its first object."""
        return self._labels["vector"].array()

    def condition(self) -> str:
        """Return when the call is made: what it names lives, and is as its owner wrote it."""
        conditions = [f"{self.home}.handle"] if self.home else []
        if self._ids.get("vector", 0) > 0:
            conditions.append(f"hold_all({self.array()}, {self.items})")
        if self.object:
            looks = self.api.role not in {"locate", "measure"}
            conditions.append(f"holds(&{self.object})" if looks else f"{self.object}.live")
        if self.api.name in STRINGS and self.object:
            conditions.append(f"{self.object}.size")
        return " && ".join(conditions)

    def before(self) -> Iterator[str]:
        """Yield what is to be known of a cache or pool before it is made."""
        if self.api.role != "create":
            return
        made = self.made.one()
        size = str(argument(self.api, self.op.args, "size"))
        if "cache" in self._ids:
            size = f"{self.home}.size" if self.home else "0"
        built = "++numbers" if argument(self.api, self.op.args, "ctor") else "0"
        owes = ", .owes = true" if argument(self.api, self.op.args, "dtor") else ""
        fields = f".size = {size}, .built = {built}" + (owes if self.manner.slots else "")
        yield f"{made} = (struct home){{{fields}}};"

    def statement(self) -> str:
        """Return the call with its condition, and with what takes its result."""
        if self.api.role == "look":
            return f"holds(&{self.object});"
        condition = self.condition()
        text = self.taking(self.expression())
        if (
            self.manner.frames
            and self.op.api == "vmalloc_to_page"
            and self.op.args[0] not in self.manner.maps
        ):
            place = f"address_of({self.op.api}({self.object}.at + {self.op.args[1]}))"
            text = f"backs(&{self.object}, {self.op.args[1]}, {place});"
        if self.api.role == "destroy" and self.home and self.manner.slots:
            text = f"{{ {text} ended(&{self.home}); }}"
        if self.api.role == "split":
            text = f"{{ {text} pieces({self.made.array()}, {self.object}.at, {self.items}); }}"
        return f"if ({condition}) {text}" if condition else text

    def taking(self, call: str) -> str:
        """Return the statement that takes the result of a call."""
        role, made = self.api.role, f"&{self.made.one()}"
        if self.op.out <= 0 or role == "split":
            return f"number = {call};" if role in _KEPT else f"{call};"
        if role == "create":
            return f"{self.made.one()}.handle = {call};"
        if role == "bulk":
            if self.api.family == "page":
                return f"take_pages({self.made.array()}, {self.items}, number = {call}, {self.zeroed});"
            where = f"{self.made.array()}, &{self.home}, {self.items}"
            return f"take_all({where}, number = {call}, {self.zeroed});"
        if role == "map":
            return f"mapped({made}, {call}, {self.array()}, {self.items});"
        if role == "copy" and self.object:
            if self.api.name in STRINGS:
                most = (
                    argument(self.api, self.op.args, "size") if "size" in self.api.parameters else "SIZE_MAX"
                )
                return f"copied_string({made}, &{self.object}, {call}, {most});"
            return f"copied({made}, &{self.object}, {call}, {self.size});"
        if role == "resize" and self.object:
            ends = "false" if self.api.family == "kmalloc" else "true"
            most = self.size if self.asked <= LARGEST else "SIZE_MAX"
            return f"resized({made}, &{self.object}, {call}, {most}, {self.zeroed}, {ends});"
        if self.home:
            return f"take_from({made}, &{self.home}, {call}, {self.zeroed});"
        return f"take({made}, {call}, {self.size}, {self.zeroed});"

    def succeeded(self) -> str:
        """Return whether the call was served, once its result is taken."""
        made = self.made.one()
        if self.api.role == "resize" and self.object:
            return f"{made}.live && {made}.size == {self.size}"
        if self.api.role == "bulk":
            return "number"
        return f"{made}.handle" if self.api.role == "create" else f"{made}.live"

    def after(self) -> Iterator[str]:
        """Yield what is compared with the other live objects."""
        several = self.api.role in {"bulk", "split"}
        each = f"({self.made.array()})[place]" if several else self.made.one()
        lines = []
        if self.manner.measured and self.api.family == "kmalloc" and "ksize" in self.manner.apis:
            lines.append(f"{each}.usable = {each}.live ? ksize({each}.at) : 0;")
        if self.manner.apart:
            guard = PAGE_SIZE if self.api.family in AREAS else 0
            lines.append(f"apart(&{each}, {self._extent(each)}, {guard});")
            if self.manner.frames and not guard:
                lines.append(f"backs_nothing(&{each});")
        if lines and several:
            lines = [
                f"for (size_t place = 0; place < {self.items}; place++) {{",
                *(f"\t{line}" for line in lines),
                "}",
            ]
        yield from lines

    def _extent(self, each: str) -> str:
        """Return the bytes that an object has to itself."""
        family = self.api.family
        if self.api.role in {"bulk", "split"} and family == "page":
            return str(PAGE_SIZE)
        if family in WHOLE_PAGES:
            return str(round_up(self.size, PAGE_SIZE))
        measure = f"ksize({each}.at)" if family == "kmalloc" and "ksize" in self.manner.apis else ""
        if family == "cache" and "kmem_cache_size" in self.manner.apis:
            measure = f"kmem_cache_size({self.home}.handle)"
        larger = f"{each}.live && {measure} > {each}.size"
        return f"{larger} ? {measure} : {each}.size" if measure else f"{each}.size"

    def expression(self) -> str:
        """Return the call itself, its result as an address or a number."""
        call = f"{self.api.name}({', '.join(self._arguments())})"
        if self.api.name == "fail_nth":
            return f"kmem_oracle_fail_nth({self.op.args[0]})"
        if self.api.name == "mempool_fail":
            return f"{self.home}.failing = {'true' if self.op.args[1] else 'false'}"
        if self.api.name in _ADDRESSES:
            call = f"address_of({call})"
            return f"(uintptr_t){call}" if self.api.role == "locate" else call
        return f"(void *){call}" if self.api.name in _WORDS else call

    def _arguments(self) -> Iterator[str]:
        """Yield the arguments as C."""
        offset = argument(self.api, self.op.args, "offset")
        for kind, value in zip(self.api.parameters, self.op.args, strict=True):
            if kind in {"pointer", "source"}:
                yield self._pointer(value, offset)
            elif kind == "vector":
                taken = "pages_of" if self.api.role == "map" else "give_all"
                yield f"{taken}({self.array()}, {self.items})" if value > 0 else "NULL"
            elif kind == "array":
                yield "blank()" if self.api.family == "page" else "pointers"
            elif kind in HANDLES:
                handle = f"closed(&{self.home})" if self.api.role == "destroy" else f"{self.home}.handle"
                yield handle if value > 0 else "NULL"
            elif kind in {"ctor", "dtor"}:
                yield function_of(kind, self.made) if value else "NULL"
            elif self.api.name == "mempool_create" and kind in {"alloc_fn", "free_fn", "size"}:
                yield {"alloc_fn": "provide", "free_fn": "put_back"}.get(kind, f"&{self.made.one()}")
            elif kind != "offset":
                yield value_of(self.api, kind, value, self.manner.names)

    def _pointer(self, value: int, offset: int) -> str:
        """Return a pointer as the call takes it."""
        api = self.api
        text = "ZERO_SIZE_PTR" if value == ID_ZERO_SIZE else "NULL"
        if value > 0:
            text = f"{self.object}.at"
            if api.role in {"free", "split"}:
                text = f"give(&{self.object})"
            elif api.name in STRINGS:
                text = f"as_string(&{self.object})"
        if api.name in _PAGES:
            return f"page_of({text})"
        if api.name == "free_pages":
            return f"(unsigned long){text}"
        return f"{text} + {offset}" if offset else text
