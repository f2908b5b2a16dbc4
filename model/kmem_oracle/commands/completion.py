"""`kmem-oracle completion SHELL`: what a shell needs to complete the commands, made by shtab."""

from __future__ import annotations

import argparse
from typing import Final

from kmem_oracle.commands.common import PASS, Commands, Parser, fail

SHELLS: Final = ("bash", "zsh", "fish")
OF_FILES: Final = frozenset({"target", "targets", "script", "profile"})  # may be a path


def add(commands: Commands[Parser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "completion",
        help="print what a shell needs to complete these commands",
        description="Print what a shell needs to complete the commands and their options.",
    )
    command.add_argument("shell", choices=SHELLS)
    command.examples(
        ("bash > ~/.local/share/bash-completion/completions/kmem-oracle", "for all new shells of yours"),
        ("zsh > ~/.zfunc/_kmem-oracle", "where ~/.zfunc is in fpath, before compinit"),
        ("fish > ~/.config/fish/completions/kmem-oracle.fish", "for all new shells of yours"),
    )
    command.set_defaults(run=completion)


def completion(arguments: argparse.Namespace) -> int:
    """Print the completion of a shell."""
    try:
        import shtab
    except ModuleNotFoundError:
        return fail("completion needs shtab: install it with `pip install 'kmem-oracle[interactive]'`")
    from kmem_oracle.cli import parser

    top = parser()
    kinds = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
    for command in _commands(top):
        for action in command._actions:
            kind = shtab.FILE if action.dest in OF_FILES else kinds.get(str(action.metavar))
            if kind is not None:
                action.complete = kind  # type: ignore[attr-defined]  # where shtab looks for it
    print(shtab.complete(top, arguments.shell))
    return PASS


def _commands(top: Parser) -> list[Parser]:
    """Return the parsers of the commands."""
    return [
        command
        for action in top._actions
        if isinstance(action, argparse._SubParsersAction)
        for command in action.choices.values()
    ]
