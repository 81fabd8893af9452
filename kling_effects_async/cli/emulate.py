"""The command ``emulate``: options in, ``serve``, what to export out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

import rich_click as click

from kling_effects_async.cli.options import Number, as_json, text
from kling_effects_async.cli.signals import loading
from kling_effects_async.emulator.bounds import MAX_CLIP_BYTES, MAX_CONNECTIONS, MAX_TASKS

__all__ = ["emulate"]

F = TypeVar("F", bound=Callable[..., Any])

_SECONDS = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:-([0-9]+(?:\.[0-9]+)?))?")


def _task_seconds(
    _context: click.Context, _option: click.Parameter, text: str
) -> float | tuple[float, float]:
    found = _SECONDS.fullmatch(text)
    low, high = (found[1], found[2] or found[1]) if found else ("1", "0")
    if float(low) > float(high) or math.isinf(float(high)):
        raise click.BadParameter(f"{text!r} is no number of seconds such as 40, or 40-90.")
    return float(low), float(high)


def _off(name: str, parameter: str, *, help: str) -> Callable[[F], F]:
    """A flag that turns something off."""
    return click.option(
        name, parameter, is_flag=True, flag_value=False, default=True, show_default=False, help=help
    )


def _at_most(name: str, unit: str, default: int, help: str) -> Callable[[F], F]:
    """A bound of what the emulator holds."""
    return click.option(name, type=click.IntRange(min=1), metavar=unit, default=default, help=help)


@click.command(context_settings={"show_default": True})
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="N", default=8787, help="0 takes a free one."
)
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    callback=text("address"),  # an empty one would be every address of this machine
    help="The address to listen on.",
)
@click.option(
    "--speed",
    type=Number(min=0, min_open=True),
    metavar="FACTOR",
    default=1.0,
    help="How much faster than real time tasks run.",
)
@click.option(
    "--task-seconds",
    metavar="SECONDS",
    default="40-90",
    callback=_task_seconds,
    help="How long tasks take: a number, or a range.",
)
@click.option(
    "--slots", type=click.IntRange(min=1), metavar="N", help="How many tasks may run at once."
)
@click.option("--units", metavar="N", default="2", help="What a finished task costs.")
@click.option(
    "--balance-units",
    metavar="N",
    help="What the account can spend; by default any number of tasks.",
)
@click.option(
    "--reply-shape",
    type=click.Choice(["flat", "union", "wrapped", "wrapped-twice"]),
    default="flat",
    help="How the gateway's paths wrap their answers.",
)
@click.option(
    "--refresh-s",
    type=Number(min=0),
    metavar="SECONDS",
    default=0.0,
    help="How stale the gateway's answers may be.",
)
@click.option(
    "--repeated-external-id",
    type=click.Choice(["reject", "accept"]),
    default="reject",
    help="What happens to an external id that was used before.",
)
@click.option(
    "--unknown-task",
    type=click.Choice(["kling", "not-found", "task-not-exist", "empty"]),
    help="How a query of an unknown id is answered; by default as such a service is known to.",
)
@click.option(
    "--retired-scenes",
    type=click.Choice(["accept", "reject"]),
    default="accept",
    help="What happens to scenes that Kling's newest lists miss.",
)
@_off(
    "--no-model-fields",
    "requires_model_fields",
    help="Take submits without model_name, mode and duration on the gateway's path.",
)
@_off("--no-list", "lists_tasks", help="Offer no list of tasks.")
@_off("--no-external-lookup", "finds_external_ids", help="Find tasks by their own id only.")
@click.option(
    "--clips",
    type=click.Choice(["preview", "test", "stock"]),
    default="preview",
    help="What the videos show: the picture in motion, the same in small, or one stock clip.",
)
@_at_most("--max-tasks", "N", MAX_TASKS, "Tasks it keeps; the oldest finished are removed first.")
@_at_most("--max-clip-bytes", "BYTES", MAX_CLIP_BYTES, "For clips; the oldest are removed first.")
@_at_most("--max-connections", "N", MAX_CONNECTIONS, "Open connections; one more gets 503.")
@click.option("--seed", type=int, metavar="N", help="Make ids and durations the same each time.")
@click.option(
    "--api-key",
    "api_keys",
    multiple=True,
    metavar="KEY",
    show_default=False,
    help="A key to take, instead of a random one. May be given several times.",
)
@click.option("--access-key", metavar="KEY", help="With --secret-key: a pair to take.")
@click.option("--secret-key", metavar="KEY", help="At least 32 bytes, as HS256 demands.")
@click.option("--webhook-secret", metavar="SECRET", help="Sign callbacks: whsec_ and base64.")
@click.option("-q", "--quiet", is_flag=True, help="Log no requests.")
@as_json
def emulate(**given: Any) -> None:
    """Run an emulator of the service on this machine.

    It runs until Ctrl-C and costs nothing. Prints the line that points other commands at it, and
    logs a line a request on stderr.
    """
    with loading():
        from kling_effects_async.cli.serve import announce, serve

    as_json, quiet = given.pop("as_json"), given.pop("quiet")
    serve(_arguments(given), lambda emulator: announce(emulator, as_json=as_json), quiet=quiet)


def _arguments(given: dict[str, Any]) -> dict[str, Any]:
    """The options as arguments of ``Emulator``; what was not given has its default."""
    options = {name: value for name, value in given.items() if value is not None}
    for name in ("reply_shape", "unknown_task"):
        if name in options:
            options[name] = options[name].replace("-", "_")
    if keys := options.pop("api_keys"):
        options["bearer_keys"] = keys
    return options | _pair(options.pop("access_key", None), options.pop("secret_key", None))


def _pair(access_key: str | None, secret_key: str | None) -> dict[str, Any]:
    if access_key is None and secret_key is None:
        return {}
    if not access_key or not secret_key:
        raise click.UsageError("--access-key and --secret-key only work together.")
    return {"access_keys": {access_key: secret_key}}
