"""Arguments of calls as C, and the constructors and destructors that some of them take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kmem_oracle.language.labels import Label
from kmem_oracle.language.script import Op
from kmem_oracle.language.syntax import flags_of
from kmem_spec import gfp
from kmem_spec.apis import APIS, Api, argument


def value_of(api: Api, kind: str, value: int, names: Mapping[str, int]) -> str:
    """Return an argument that is no pointer as C."""
    if kind == "name":
        return '"c"' if value else "NULL"
    if kind == "gfp":
        return gfp.describe(value, dict(names))
    if kind in {"flags", "prot"}:
        if value in flags_of(api, kind).values():
            return next(name for name, bit in flags_of(api, kind).items() if bit == value)
        parts = [name for name, bit in flags_of(api, kind).items() if value & bit]
        left = value & ~sum(flags_of(api, kind).values())
        return " | ".join([*parts, f"{left:#x}"] if left else parts) or "0"
    return number_of(value)


def number_of(value: int) -> str:
    """Return a number as C."""
    return str(value) if value < 1 << 31 else f"{value:#x}ul"


def function_of(kind: str, cache: Label) -> str:
    """Return the constructor or destructor of a cache."""
    return f"{kind}s_of_{cache.name}[{cache.place}]" if cache.place else f"{kind}_of_{cache.name}"


def callbacks(ops: Sequence[Op], rooms: Mapping[str, int], names: Mapping[int, str]) -> list[str]:
    """Return the constructors and destructors, one for each cache: they are told the object alone."""
    lines: list[str] = []
    done: set[tuple[str, str]] = set()
    for op in ops:
        api = APIS[op.api]
        more = ", struct kmem_cache *c, unsigned long flags" if api.name == "kmem_cache_create_26" else ""
        unused = " (void)c; (void)flags;" if more else ""
        for kind, what in (("ctor", "construct"), ("dtor", "destruct")):
            if kind not in api.parameters or not argument(api, op.args, "ctor" if kind == "ctor" else "dtor"):
                continue
            name = names[op.out]
            if (kind, name) in done:
                continue
            done.add((kind, name))
            room = rooms[name]
            places = [(f"_{k}", f"[{k}]") for k in range(room)] if room else [("", "")]
            for suffix, place in places:
                head = f"static void {kind}_of_{name}{suffix}(void *object{more})"
                lines.append(f"{head} {{{unused} {what}(&{name}{place}, object); }}")
            if room:
                listed = ", ".join(f"{kind}_of_{name}{suffix}" for suffix, _ in places)
                types = "void *" + (", struct kmem_cache *, unsigned long" if more else "")
                lines.append(f"static void (*const {kind}s_of_{name}[])({types}) = {{{listed}}};")
    return lines
