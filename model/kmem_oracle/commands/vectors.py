"""`kmem-oracle vectors DIR`: write the test vectors, for readers in any language."""

from __future__ import annotations

import argparse
from pathlib import Path

from kmem_oracle.commands.common import PASS, Commands, Parser, fail


def add(commands: Commands[Parser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "vectors",
        help="write test vectors for readers in any language",
        description="Write the test vectors: programs to play on an allocator, histories and states for a "
        "judge. spec/vectors.md has their format; the same version writes the same bytes.",
    )
    command.add_argument("folder", metavar="DIR", help="folder to write to; it is made if need be")
    command.examples(("vectors", "everything, into the folder vectors"))
    command.set_defaults(run=vectors)


def vectors(arguments: argparse.Namespace) -> int:
    """Write the vectors, and say how many there are."""
    from kmem_oracle.reports.about import registry  # they know everything, which takes a while to load
    from kmem_oracle.vectors.write import write

    try:
        counts = write(Path(arguments.folder), list(registry().values()))
    except OSError as error:
        return fail(f"cannot write {error.filename or arguments.folder}: {error.strerror}")
    for preset, kinds in counts.items():
        for kind, number in kinds.items():
            print(f"{preset:12} {kind:10} {number:6,}")
    return PASS
