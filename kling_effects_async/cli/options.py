"""The options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import rich_click as click

__all__ = ["as_json", "for_waiting"]

F = TypeVar("F", bound=Callable[..., Any])


def _service(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    is_url = name is not None and name.startswith(("https://", "http://"))
    if name is None or is_url or name in ("vapi", "singapore", "beijing"):
        return name
    raise click.BadParameter(f"{name!r} is neither vapi, singapore, beijing nor a gateway's URL.")


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

_FOR_WAITING = (
    click.option(
        "-o",
        "--output",
        metavar="FILE",
        help="Where the video goes: a file, or a folder. By default a new file here.",
    ),
    click.option("--overwrite", is_flag=True, help="Replace the output if it exists."),
    click.option(
        "--service",
        metavar="NAME",
        callback=_service,
        help="vapi, singapore, beijing or a gateway's URL; instead of KLING_SERVICE.",
    ),
    click.option(
        "--timeout-s",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        default=3600.0,
        show_default=True,
        help="How long to wait for the task to end.",
    ),
    as_json,
    click.option("-q", "--quiet", is_flag=True, help="Show no progress."),
)


def for_waiting(command: F) -> F:
    """What a command that waits for a task and saves its video can be told."""
    for option in reversed(_FOR_WAITING):
        command = option(command)
    return command
