"""`kmem-oracle kernel build` and `kernel list`: Linux kernels to be judged."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Final

from kmem_oracle.commands.common import PASS, Commands, Parser, fail, positive
from kmem_oracle.kernels import store
from kmem_oracle.targets.target import CouldNotRun

SOURCE: Final = "linux-source-6.1"
ALLOCATORS: Final = ("slub", "slab", "slob")


def add(commands: Commands[Parser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "kernel", help="build Linux kernels to judge", description="Build and list kernels."
    )
    parts = command.add_subparsers(dest="part", required=True, parser_class=Parser)
    making = parts.add_parser(
        "build",
        help="build a kernel with the driver in it",
        description="Build a user-mode kernel with the driver in it, or the driver as a module for a stock "
        "one; what is unchanged is not built again.",
    )
    origin = making.add_mutually_exclusive_group()
    origin.add_argument(
        "--source",
        default=SOURCE,
        metavar="PACKAGE",
        help=f"source package of the distribution (default {SOURCE}); fetched, not installed",
    )
    origin.add_argument("--tree", metavar="DIR", help="sources of your own; nothing in them is changed")
    origin.add_argument(
        "--stock",
        metavar="PACKAGE",
        help="a kernel as the distribution ships it, such as linux-image-cloud-amd64: the driver is a "
        "module, and it runs in a virtual machine (QEMU)",
    )
    making.add_argument("--slab", choices=ALLOCATORS, default="slub", help="slab allocator (default slub)")
    making.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="CONFIG_X=y",
        help="a line of the configuration; may be given again",
    )
    making.add_argument("--name", default="", help="default VERSION-SLAB, with the folder's name for --tree")
    making.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, metavar="N", help="processes")
    making.set_defaults(run=build)
    listing = parts.add_parser(
        "list", help="list built kernels", description="List built kernels, a name a line."
    )
    listing.set_defaults(run=list_all)
    command.examples(
        ("build", "Linux as the distribution has it, with SLUB, as a process"),
        ("build --slab slob", "the same with another slab allocator"),
        ("list", "what can be judged: kmem-oracle check linux:NAME"),
    )


def build(arguments: argparse.Namespace) -> int:
    """Build a kernel."""
    from kmem_oracle.kernels import build as builder
    from kmem_oracle.kernels import stock

    begin = time.monotonic()
    wrong = [line for line in arguments.config if not line.startswith("CONFIG_") or "=" not in line]
    if wrong:
        return fail(f"--config {wrong[0]!r}: give a line such as CONFIG_INIT_ON_ALLOC_DEFAULT_ON=y")
    if arguments.stock and (arguments.config or arguments.slab != ALLOCATORS[0]):
        return fail("--stock takes a kernel as it is: without --slab and --config")
    try:
        if arguments.stock:
            kernel = stock.build(package=arguments.stock, name=arguments.name, say=_say)
        else:
            kernel = builder.build(
                package=arguments.source,
                tree=None if arguments.tree is None else Path(arguments.tree),
                slab=arguments.slab,
                options=arguments.config,
                name=arguments.name,
                jobs=arguments.jobs,
                say=_say,
            )
    except CouldNotRun as error:
        return fail(str(error))
    size = kernel.image.stat().st_size / (1 << 20)
    print(
        f"{kernel.name}: Linux {kernel.version}, {size:.1f} MiB, built in {time.monotonic() - begin:.0f} s; "
        f"judge it with `kmem-oracle check linux:{kernel.name}`"
    )
    return PASS


def list_all(_arguments: argparse.Namespace) -> int:
    """List built kernels."""
    for kernel in store.every():
        print(kernel.name)
    return PASS


def _say(text: str) -> None:
    """Say what goes on."""
    print(f"kmem-oracle: {text}", file=sys.stderr, flush=True)
