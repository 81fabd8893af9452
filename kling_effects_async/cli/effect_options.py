"""The options of what makes effects: ``run`` one, ``bulk`` many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import rich_click as click

from kling_effects_async.cli.options import text
from kling_effects_async.emulator.choices import Clips

__all__ = ["of_the_effect", "previewing"]

F = TypeVar("F", bound=Callable[..., Any])

_MODEL = click.option(
    "--model-name",
    metavar="NAME",
    callback=text("name of the model"),
    help="One of the service's models; leave it out for the default.",
)
_MODE = click.option(
    "--mode", metavar="std|pro", callback=text("mode"), help="Only for scenes with two images."
)
_DURATION = click.option(
    "--duration",
    "duration_s",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="How long a clip is to be.",
)
_NO_EMULATOR = click.option(
    "--no-emulator",
    "may_preview",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Without a key, fail instead of making a preview.",
)
_CLIPS = click.option(
    "--clips",
    type=click.Choice([choice.value for choice in Clips]),
    default=Clips.PREVIEW.value,
    hidden=True,  # for tests that do not look at pictures
)


def of_the_effect(command: F) -> F:
    """Model, mode and duration."""
    # A decorator that is applied last stands first in the help.
    return _MODEL(_MODE(_DURATION(command)))


def previewing(command: F) -> F:
    """What is made without a key."""
    return _NO_EMULATOR(_CLIPS(command))
