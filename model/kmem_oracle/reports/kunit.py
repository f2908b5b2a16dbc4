"""A violation as a KUnit test, for the kernel itself: the same calls, and the same looks at what they do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from kmem_oracle.campaign.result import Result
from kmem_oracle.language.labels import Labels
from kmem_oracle.language.script import Op
from kmem_oracle.reports.c_program import head
from kmem_oracle.reports.c_source import source_of
from kmem_spec.apis import APIS, argument

NOT_THERE: Final = {
    "dtor": "no cache has a destructor there",
    "fail_nth": "failures are armed by fault injection there",
}
_HEADERS: Final = ("gfp", "mempool", "mm", "module", "slab", "string", "version", "vmalloc")
_OWN: Final = frozenset({"fault", "lost", "catch_crashes", "left", "sleeps"})
# Calls that came, or changed their shape, after 6.1.
_SINCE: Final = {"vrealloc": (6, 12), "kvrealloc": (6, 12)}
_ORDER: Final = (
    "kfree",
    "kvfree",
    "vunmap",
    "vfree",
    "free_pages",
    "free_pages_exact",
    "mempool_free",
    "mempool_destroy",
    "kmem_cache_free",
    "kmem_cache_destroy",
)
_FREES: Final[dict[str, str]] = {
    "kmalloc": "kfree(give(&{0}))",
    "kv": "kvfree(give(&{0}))",
    "vmalloc": "vfree(give(&{0}))",
    "vmap": "vunmap(give(&{0}))",
    "page": "free_pages((unsigned long)give(&{0}), {1})",
    "exact": "free_pages_exact(give(&{0}), {1})",
    "cache": "kmem_cache_free({0}.home->handle, give(&{0}))",
    "pool": "mempool_free(give(&{0}), {0}.home->handle)",
}


def why_not(ops: Sequence[Op]) -> str | None:
    """Return why there is no such test of a script, None if there is."""
    if any(argument(APIS[op.api], op.args, "dtor") for op in ops):
        return NOT_THERE["dtor"]
    return next((NOT_THERE[op.api] for op in ops if op.api in NOT_THERE), None)


def kunit(result: Result, stem: str) -> str:
    """Return a suite with one test for a violation; `stem` names both."""
    assert result.play is not None
    assert result.play.finding is not None
    ops = [_as_today(op) for op in result.play.ops]
    result = replace(result, play=replace(result.play, ops=tuple(ops)))
    leaves = any(op.out > 0 and APIS[op.api].role != "create" for op in ops[:-1])
    source = source_of(result, ("give",) if leaves else (), _OWN)
    assert result.play is not None
    assert result.play.finding is not None
    clause = result.play.finding.clause
    statements = list(_unwatched(source.statements))
    lines = ["// SPDX-License-Identifier: GPL-2.0", *head(result), " */", "#include <kunit/test.h>"]
    lines += [f"#include <linux/{name}.h>" for name in _HEADERS]
    lines += ["", *_versions(ops), f'#define CLAUSE "{clause}"']
    lines += [f"#define {name} {number}" for name, number in source.numbers.items()]
    lines += [
        "",
        "static struct kunit *running;",
        "",
        "#define fault(format, ...) \\",
        '\tKUNIT_ASSERT_TRUE_MSG(running, false, CLAUSE ": " format, ##__VA_ARGS__)',
        "",
        *source.parts,
        *source.storage,
        *source.callbacks,
        "",
        f"static void {stem}(struct kunit *test)",
        "{",
        "\trunning = test;",
        *(f"\t{line}" for line in [*statements, *_clean_up(ops, source.labels)]),
        "\tKUNIT_SUCCEED(test);",
        "}",
        "",
        f"static struct kunit_case {stem}_cases[] = {{",
        f"\tKUNIT_CASE({stem}),",
        "\t{}",
        "};",
        "",
        f"static struct kunit_suite {stem}_suite = {{",
        f'\t.name = "{stem}",',
        f"\t.test_cases = {stem}_cases,",
        "};",
        f"kunit_test_suite({stem}_suite);",
        "",
        'MODULE_LICENSE("GPL");',
    ]
    return "\n".join(lines) + "\n"


def _unwatched(statements: Sequence[str]) -> Iterator[str]:
    """Yield statements without the look whether a call slept: that the kernel tells by itself."""
    rest = iter(statements)
    for line in rest:
        if line == "slept = 0;":
            yield "/* with CONFIG_DEBUG_ATOMIC_SLEEP the kernel complains if this sleeps */"
        elif line == "if (slept)":
            next(rest)  # what follows from it
        else:
            yield line


def _as_today(op: Op) -> Op:
    """Return a call of the form of 2.6, without a destructor, in that of today."""
    return Op("kmem_cache_create", op.out, op.args[:5]) if op.api == "kmem_cache_create_26" else op


def _versions(ops: Sequence[Op]) -> Iterator[str]:
    """Yield what the calls are called in other versions."""
    names = {op.api for op in ops}
    if "alloc_pages_bulk" in names:
        yield "#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)"
        yield "#define alloc_pages_bulk alloc_pages_bulk_array"
        yield "#endif\n"
    for name in sorted(names & _SINCE.keys()):
        major, minor = _SINCE[name]
        yield f"#if LINUX_VERSION_CODE < KERNEL_VERSION({major}, {minor}, 0)"
        yield f'#error "{name} with these parameters came with Linux {major}.{minor}"'
        yield "#endif\n"


def _clean_up(ops: Sequence[Op], labels: Labels) -> Iterator[str]:
    """Yield the statements that give back what is held at the end: objects, then pools, then caches."""
    rooms = labels.extents()
    ends: dict[str, tuple[str, str]] = {}
    for op in ops[:-1]:
        api = APIS[op.api]
        if op.out <= 0:
            continue
        name = labels.of(op.out).name
        if api.role == "create":
            ends[name] = ("handle", "mempool_destroy" if api.family == "pool" else "kmem_cache_destroy")
            continue
        number = argument(api, op.args, "size" if api.family == "exact" else "order")
        ends[name] = ("live", _FREES[api.family].replace("{1}", str(0 if api.role == "split" else number)))
    for name, (field, end) in sorted(ends.items(), key=lambda item: _ORDER.index(item[1][1].split("(")[0])):
        each = f"{name}[place]" if rooms[name] else name
        text = end.replace("{0}", each) if field == "live" else f"{end}({each}.handle)"
        if rooms[name]:
            yield f"for (size_t place = 0; place < {rooms[name]}; place++)"
            yield f"\tif ({each}.{field})"
            yield f"\t\t{text};"
        else:
            yield f"if ({each}.{field})"
            yield f"\t{text};"
