"""``kling-effects completion``: the script of a shell, by click's own machinery."""

from __future__ import annotations

import rich_click as click

from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import print_lines

__all__ = ["COMPLETE_VARIABLE", "completion"]

_EXAMPLES = (
    'eval "$(kling-effects completion bash)"',
    "kling-effects completion fish > ~/.config/fish/completions/kling-effects.fish",
)

PROGRAM = "kling-effects"
# Where a shell puts what it wants to know; click's name for this program.
COMPLETE_VARIABLE = "_KLING_EFFECTS_COMPLETE"


@click.command(cls=Command, examples=_EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    It completes commands, options, scenes, services, profiles, files, and the ids of jobs that the
    journal has (KLING_JOURNAL, or the settings file). For bash 4.4 or newer, zsh or fish.
    """
    from click.shell_completion import get_completion_class

    from kling_effects_async.cli.app import app

    kind = get_completion_class(shell)
    assert kind is not None  # of the three above
    print_lines([kind(app, {}, PROGRAM, COMPLETE_VARIABLE).source()])
