"""Commands whose help is fast to draw, and a group that imports a command only when it is needed.

rich-click draws an option as several tables within each other, and a long help took a third more
time for it. Here all options are one table of two columns, with click's own words in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import rich_click as click

from kling_effects_async.cli.signals import loaded

__all__ = ["Command", "LazyGroup"]


class Command(click.RichCommand):
    """For ``click.command(cls=Command, examples=...)``.

    Args:
        examples: command lines, as a person would type them.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples: tuple[str, ...] = tuple(examples)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _draw_options(self, ctx, formatter)
        _draw_examples(self.examples, formatter)


class LazyGroup(click.RichGroup):
    """For ``click.group(cls=LazyGroup, table=...)``: lists its commands in the table's order.

    Args:
        table: for each command where it is, "module:attribute", and one line of help.
        examples: as of a command.
    """

    def __init__(
        self,
        *args: Any,
        table: Mapping[str, tuple[str, str]],
        examples: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples: tuple[str, ...] = tuple(examples)
        self._targets = {name: target for name, (target, _line) in table.items()}
        # These stand in the list only; a command itself is imported when it is run.
        for name, (_target, line) in table.items():
            self.add_command(click.RichCommand(name=name, short_help=line))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _draw_options(self, ctx, formatter)
        lines = [(name, command.get_short_help_str()) for name, command in self.commands.items()]
        _draw(formatter, "Commands", lines)
        _draw_examples(self.examples, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, self._load(name) if name in self._targets else command, rest

    def _load(self, name: str) -> click.Command:
        module, _, attribute = self._targets[name].partition(":")
        command: click.Command = getattr(loaded(module), attribute)
        return command


def _draw_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    ctx.default_map = None  # a help shows the program's defaults, and reads no settings file
    options = [each for each in command.get_params(ctx) if isinstance(each, click.Option)]
    _draw(formatter, "Options", filter(None, (option.get_help_record(ctx) for option in options)))


def _draw_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    """Whole lines without a frame, so that they can be copied."""
    from rich.text import Text

    assert isinstance(formatter, click.RichHelpFormatter)
    if examples:
        lines = "\n".join(f"   {example}" for example in examples)
        formatter.write(Text(f" Examples:\n{lines}\n"), soft_wrap=True)


def _draw(formatter: click.HelpFormatter, title: str, rows: Iterable[tuple[str, str]]) -> None:
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    assert isinstance(formatter, click.RichHelpFormatter)
    look = formatter.config
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, words in rows:
        # As ``Text``, because rich looks for emoji in a ``str``, and their list takes time to load.
        table.add_row(Text(name, look.style_option, no_wrap=True), Text(words))
    # rich-click's own style, so that it looks like the help of other commands made with it.
    border = look.style_options_panel_border
    formatter.write(Panel(table, title=Text(title), title_align="left", border_style=border))
