"""The command ``emulate``: options in, ``serve``, what to export out."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import rich_click as click

from kling_effects_async.cli.loading import loading
from kling_effects_async.cli.options import as_json
from kling_effects_async.cli.streams import NotPrinted, write_out
from kling_effects_async.cli.talk import say

if TYPE_CHECKING:
    from kling_effects_async.emulator import Emulator

__all__ = ["emulate"]


@click.command(context_settings={"show_default": True})
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="N", default=8787, help="0 takes a free one."
)
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", help="The address to listen on.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    metavar="FACTOR",
    default=1.0,
    help="How much faster than the clock tasks get on; they take 40 to 90 s.",
)
@click.option(
    "--slots", type=click.IntRange(min=1), metavar="N", help="How many tasks may run at once."
)
@click.option(
    "--reply-shape",
    type=click.Choice(["flat", "union", "wrapped", "wrapped-twice"]),
    default="flat",
    help="How the gateway's paths wrap their answers.",
)
@click.option(
    "--refresh-s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=0.0,
    help="How stale the gateway's answers may be.",
)
@click.option(
    "--repeated-external-id",
    type=click.Choice(["refuse", "accept"]),
    default="refuse",
    help="What happens to an external id that was used before.",
)
@click.option(
    "--no-list",
    "lists_tasks",
    is_flag=True,
    flag_value=False,
    default=True,
    show_default=False,
    help="Have no list of tasks.",
)
@click.option(
    "--no-external-lookup",
    "finds_external_ids",
    is_flag=True,
    flag_value=False,
    default=True,
    show_default=False,
    help="Know tasks by their own id alone.",
)
@click.option(
    "--clips",
    type=click.Choice(["preview", "test", "stock"]),
    default="preview",
    help="What the videos show: the picture in motion, the same in small, or one stock clip.",
)
@as_json
def emulate(as_json: bool, reply_shape: str, **options: Any) -> None:
    """Run an emulator of the service on this machine.

    It runs until Ctrl-C and costs nothing. Prints the line that points other commands at it.
    """
    with loading():
        from kling_effects_async.cli.serve import serve

    def announce(emulator: Emulator) -> None:
        _announce(emulator, as_json=as_json)

    serve({**options, "reply_shape": reply_shape.replace("-", "_")}, announce)


def _announce(emulator: Emulator, *, as_json: bool) -> None:
    environment = {
        "KLING_SERVICE": emulator.url,
        "KLING_API_KEY": emulator.settings.bearer_keys[0],
    }
    line = (
        json.dumps({"url": emulator.url, "environment": environment})
        if as_json
        else _export(environment)
    )
    try:
        write_out(line)
        where = "the line above"
    except NotPrinted:  # it can be used all the same
        where = line
    say(f"emulator at {emulator.url}; in another shell run {where}; Ctrl-C ends it")


def _export(environment: Mapping[str, str]) -> str:
    return "export " + " ".join(f"{k}={shlex.quote(v)}" for k, v in environment.items())
