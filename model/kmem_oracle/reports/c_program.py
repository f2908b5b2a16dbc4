"""A violation as a C program: it makes the script's calls, and looks for what the clause is about by itself.

It links against the target alone, so it can be run under a debugger. Status 1 and one line where the fault
shows, 0 where it does not.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final

from kmem_oracle.campaign.result import Result
from kmem_oracle.reports.c_source import Source, over_malloc, source_of
from kmem_oracle.reports.c_types import numbers_in, prototypes_in, words_in
from kmem_spec.clauses import CLAUSES
from kmem_spec.gfp import NAMES

HANG_SECONDS: Final = 10
_HEADERS: Final = {
    "malloc.h": "malloc_usable_size",
    "signal.h": "sigaction",
    "stdarg.h": "va_list",
    "stdbool.h": "bool",
    "stddef.h": "size_t",
    "stdint.h": "uintptr_t SIZE_MAX",
    "stdio.h": "printf",
    "stdlib.h": "atexit calloc free posix_memalign realloc",
    "string.h": "memcpy memset strlen",
    "unistd.h": "_exit alarm",
}
_TYPES: Final = {
    "kmem_cache": "struct kmem_cache;",
    "page": "struct page;",
    "mempool_t": "typedef struct mempool mempool_t;",
}


def c_program(result: Result, file: str) -> str:
    """Return the program for a violation; `file` is the name that it is saved under."""
    assert result.play is not None
    assert result.play.finding is not None
    finding = result.play.finding
    begin, end = ["catch_crashes();"], ["return 0;"]
    if "did not return" in finding.message:
        begin.append(f"alarm({HANG_SECONDS});")
    if "exited" in finding.message:
        begin.append("atexit(left);")
        end.insert(0, "over = true;")
    begin += ["if (kmem_oracle_reset)", "\tkmem_oracle_reset();"]
    if finding.clause == "GFP-SLEEP":
        begin.append("kmem_oracle_on_sleep(sleeps);")
    source = source_of(result, [line.strip("();") for line in begin] + ["left"] * len(end[1:]), frozenset())
    main = ["int main(void)", "{", *(f"\t{line}" for line in [*begin, *source.statements, *end]), "}"]
    text = "\n".join([source.text, *begin, *end])
    lines = [*head(result), *_build(result, file), *_declarations(result, source, text), *source.parts]
    return "\n".join([*lines, *source.storage, *source.callbacks, "", *main]) + "\n"


def head(result: Result) -> Iterator[str]:
    """Yield the lines of a comment that say what is wrong, and by which rule."""
    assert result.play is not None
    assert result.play.finding is not None
    finding = result.play.finding
    clause = CLAUSES[finding.clause]
    yield f"/* {clause.id}: {clause.sentence}"
    yield f" * Source   {clause.source}"
    yield f" * Seen     {finding.message}".replace("*/", "* /")
    yield f" * Target   {result.target}, profile {result.profile.name}, seed {result.seed}"
    if finding.who == "caller":
        yield " * The caller breaks this rule, not the allocator: no fault shows."


def _build(result: Result, file: str) -> Iterator[str]:
    """Yield the lines that say how to build and run the program."""
    yield " *"
    library = result.target.removeprefix("malloc:")
    inputs = f"{file} {shlex.quote(library)}" if library else file
    yield f" * cc -g -o reproducer {inputs} && ./reproducer"
    yield " * Status 1 and one line where the fault shows (break at `fault`), 0 where it does not."
    yield " */"


def _declarations(result: Result, source: Source, text: str) -> Iterator[str]:
    """Yield headers, numbers and prototypes."""
    assert result.play is not None
    assert result.play.finding is not None
    prototypes = [] if over_malloc(result.target) else prototypes_in(text)
    words = words_in("\n".join([text, *prototypes]))
    yield from (f"#include <{name}>" for name, uses in _HEADERS.items() if words & {*uses.split()})
    yield ""
    yield f'#define CLAUSE "{result.play.finding.clause}"'
    yield "#define ZERO_SIZE_PTR ((void *)16)"
    yield from (f"#define {name} {number}" for name, number in source.numbers.items())
    yield from numbers_in(text, NAMES[result.profile.gfp])
    yield "\ntypedef unsigned gfp_t;"
    yield from (declared for word, declared in _TYPES.items() if word in words)
    yield from prototypes
    yield "void kmem_oracle_reset(void) __attribute__((weak));\n"
