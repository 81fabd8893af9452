"""``kling-effects auth``: keys that are kept for later commands, each in the file of its name."""

from __future__ import annotations

import rich_click as click

from kling_effects_async.cli.commands import LazyGroup

__all__ = ["auth"]

_EXAMPLES = (
    "kling-effects auth login",
    "kling-effects auth status",
)

_COMMANDS = {
    "login": (f"{__name__}.login:login", "Keep a key for later commands."),
    "status": (f"{__name__}.status:status", "List the profiles and where their keys are."),
    "logout": (f"{__name__}.logout:logout", "Delete a key that login kept."),
}


@click.group(cls=LazyGroup, table=_COMMANDS, examples=_EXAMPLES)
def auth() -> None:
    """Keep a key, list the profiles, or delete a key.

    A key is kept in the system's keyring where there is one (the extra [keyring]), else in a file
    that only you can read.
    """
