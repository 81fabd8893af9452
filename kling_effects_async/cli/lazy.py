"""A group of commands that imports a command when it is run, or its own help is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rich_click as click

from kling_effects_async.cli.signals import loaded

__all__ = ["LazyGroup"]


class LazyGroup(click.RichGroup):
    """For ``click.group(cls=LazyGroup, table=...)``: lists its commands in the table's order.

    Args:
        table: for each command where it is, "module:attribute", and one line of help.
    """

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._targets = {name: target for name, (target, _line) in table.items()}
        for name, (_target, line) in table.items():  # for the list alone
            self.add_command(click.RichCommand(name=name, short_help=line))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, self._load(name) if name in self._targets else command, rest

    def _load(self, name: str) -> click.Command:
        module, _, attribute = self._targets[name].partition(":")
        command: click.Command = getattr(loaded(module), attribute)
        return command
