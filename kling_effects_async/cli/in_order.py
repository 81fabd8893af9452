"""A group of commands that lists them as they were added, the most wanted first."""

from __future__ import annotations

import rich_click as click

__all__ = ["InOrder"]


class InOrder(click.RichGroup):
    """For ``click.group(cls=InOrder)``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)
