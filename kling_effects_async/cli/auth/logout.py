"""``kling-effects auth logout``: a key that ``login`` kept is deleted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import rich_click as click

from kling_effects_async import cli
from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import print_result, say
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.options import chosen_profile, one_profile
from kling_effects_async.cli.profiles import DEFAULT

if TYPE_CHECKING:
    pass

__all__ = ["logout"]

_EXAMPLES = ("kling-effects auth logout --profile work",)

_PLACES = {"keyring": "deleted from the keyring", "file": "deleted from {path}"}


@click.command(cls=Command, examples=_EXAMPLES)
@one_profile
@click.pass_context
def logout(context: click.Context, /) -> None:
    """Delete a key that login kept.

    Nothing at the service changes: a key that others may know has to be revoked there. Prints the
    name of the profile.
    """
    profile = chosen_profile(context) or DEFAULT
    with cli.messages.errors_as_failures():
        config = cli.settings_file.config_path()
        path = None if config is None else cli.key_store.keys_path(config)
        place = None if path is None else cli.key_store.forget_key(path, profile)
    if place is None:
        raise Failure(ExitCode.SETTINGS, [f"no key is kept for the profile {profile!r}"])
    say(f"the key of the profile {profile!r} is {_PLACES[place].format(path=path)}")
    if cli.settings_file.has_key_in(os.environ):
        say("the environment still has a key")
    print_result(profile, else_say=f"logged out: {profile}")
