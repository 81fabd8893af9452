"""``kling-effects emulate``: the emulator in the foreground, until a signal ends it.

It prints how other programs reach it, and logs a line a request on stderr.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

from kling_effects_async import cli
from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import NotPrinted, json_line, say, write_out
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.options import Number, as_json, listening
from kling_effects_async.cli.signals import loaded
from kling_effects_async.emulator.bounds import MAX_CLIP_BYTES, MAX_CONNECTIONS, MAX_TASKS
from kling_effects_async.emulator.choices import (
    CallbackShape,
    Clips,
    RepeatedId,
    ReplyShape,
    RetiredScenes,
    UnknownTask,
)

if TYPE_CHECKING:
    from kling_effects_async.emulator import Emulator

__all__ = ["emulate"]

_EXAMPLES = (
    "kling-effects emulate --speed 60",
    "kling-effects emulate --port 0 --slots 5 --json",
)

F = TypeVar("F", bound=Callable[..., Any])

# Arguments that Emulator itself checks; its sentences get the option's name instead.
_OPTIONS = {
    "bearer_keys": "--api-key",
    "webhook_secret": "--webhook-secret",
    "units": "--units",
    "balance_units": "--balance-units",
}

_SECONDS = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:-([0-9]+(?:\.[0-9]+)?))?")


def _task_seconds(
    _context: click.Context, _option: click.Parameter, text: str
) -> float | tuple[float, float]:
    found = _SECONDS.fullmatch(text)
    # What is no number becomes a range that ends before it begins, and is rejected as one.
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


def _one_of(
    name: str, choices: type[enum.Enum], help: str, *, default: enum.Enum | None = None
) -> Callable[[F], F]:
    """One of an enumeration's words, which the help names at the end of its sentence."""
    words = [_word(choice) for choice in choices]
    return click.option(
        name,
        type=click.Choice(words),
        metavar="WORD",
        default=None if default is None else _word(default),
        help=f"{help}: {', '.join(words[:-1])} or {words[-1]}.",
    )


def _word(choice: enum.Enum) -> str:
    return str(choice.value).replace("_", "-")


@click.command(cls=Command, examples=_EXAMPLES, context_settings={"show_default": True})
@listening(port=8787)
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
    help="How long a task takes at speed 1: a number, or a range.",
)
@click.option(
    "--slots",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many tasks may run at the same time; by default any number.",
)
@click.option("--units", metavar="N", default="2", help="What a finished task costs.")
@click.option(
    "--balance-units",
    metavar="N",
    help="How many units the account can spend; by default any number.",
)
@_one_of(
    "--reply-shape", ReplyShape, "How the gateway's paths wrap a reply", default=ReplyShape.FLAT
)
@click.option(
    "--refresh-s",
    type=Number(min=0),
    metavar="SECONDS",
    default=0.0,
    help="How old the state of a task in the gateway's replies may be.",
)
@_one_of(
    "--repeated-external-id",
    RepeatedId,
    "What happens to a submit whose external id was used before",
    default=RepeatedId.REJECT,
)
@_one_of(
    "--unknown-task",
    UnknownTask,
    "How a query of an unknown id is answered; by default as each path is known to",
)
@_one_of(
    "--retired-scenes",
    RetiredScenes,
    "What happens to a scene that Kling's newest lists do not name",
    default=RetiredScenes.ACCEPT,
)
@_off(
    "--no-model-fields",
    "requires_model_fields",
    help="Accept submits without model_name, mode and duration on the gateway's path.",
)
@_off("--no-list", "lists_tasks", help="Offer no list of tasks.")
@_off("--no-external-lookup", "finds_external_ids", help="Find tasks by their task id only.")
@click.option(
    "--clips",
    type=click.Choice([_word(choice) for choice in Clips]),
    metavar="WORD",
    default=_word(Clips.PREVIEW),
    help="What the videos show: the picture in motion (preview), the same in small (test), or one "
    "clip for all tasks (stock).",
)
@_at_most("--max-tasks", "N", MAX_TASKS, "Tasks to keep; the oldest finished are removed first.")
@_at_most(
    "--max-clip-bytes", "BYTES", MAX_CLIP_BYTES, "Clips to keep; the oldest are removed first."
)
@_at_most(
    "--max-connections", "N", MAX_CONNECTIONS, "Connections at the same time; one more gets 503."
)
@click.option("--seed", type=int, metavar="N", help="Make ids and durations the same in each run.")
@click.option(
    "--api-key",
    "api_keys",
    multiple=True,
    metavar="KEY",
    show_default=False,
    help="An API key to accept, instead of a random one; may be repeated.",
)
@click.option("--access-key", metavar="KEY", help="An access key to accept; needs --secret-key.")
@click.option("--secret-key", metavar="KEY", help="Its secret key, at least 32 bytes for HS256.")
@click.option(
    "--webhook-secret",
    multiple=True,
    metavar="SECRET",
    show_default=False,
    help="Sign callbacks: whsec_ and base64; may be repeated, as while one is replaced.",
)
@_one_of(
    "--callback-shape",
    CallbackShape,
    "Which of the two documented forms callbacks have",
    default=CallbackShape.LEGACY,
)
@click.option(
    "--callback-attempts",
    type=click.IntRange(min=1),
    metavar="N",
    default=1,
    help="How often a callback is tried until it is answered with 200.",
)
@click.option(
    "--callback-retry-s",
    type=Number(min=0),
    metavar="SECONDS",
    default=5.0,
    help="The pause between two attempts.",
)
@click.option(
    "--gateway-task-ids",
    is_flag=True,
    help="Hand out ids of the gateway's own, while callbacks carry Kling's.",
)
@click.option("-q", "--quiet", is_flag=True, help="Log no requests.")
@as_json
def emulate(as_json: bool, quiet: bool, **given: Any) -> None:
    """Run an emulator of the service on this machine.

    It runs until Ctrl-C and costs nothing. Prints the line that points other commands at it, and
    logs a line a request on stderr.
    """
    options = _arguments(given)
    loaded("kling_effects_async.emulator.server")
    import asyncio

    emulator = _made(options)
    with (
        cli.messages.show_library_messages(),
        cli.messages.request_lines(is_wanted=not quiet),
        # To be stopped is how an emulator ends, and no failure.
        suppress(KeyboardInterrupt, asyncio.CancelledError),
    ):
        cli.runner.run(_serve(emulator, as_json=as_json))


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


def _made(options: Mapping[str, Any]) -> Emulator:
    from kling_effects_async.emulator import Emulator

    try:
        return Emulator(**options)
    except ValueError as error:
        raise Failure(ExitCode.USAGE, [_as_option(str(error))]) from None


def _as_option(sentence: str) -> str:
    """A sentence about an argument, which is its first word, as one about an option."""
    name, _, rest = sentence.partition(" ")
    option = _OPTIONS.get(name)
    return sentence if option is None else f"{option} {rest}"


async def _serve(emulator: Emulator, *, as_json: bool) -> None:
    import asyncio

    from kling_effects_async.emulator import EmulatorError

    with cli.runner.stopped_gently():
        try:
            async with emulator:
                _announce(emulator, as_json=as_json)
                await asyncio.Event().wait()
        except EmulatorError as error:
            raise Failure(ExitCode.SETTINGS, [cli.messages.in_our_words(str(error))]) from error


def _announce(emulator: Emulator, *, as_json: bool) -> None:
    """Print what to export for the gateway's path, and for Kling's own with its pair of keys."""
    access_key, secret_key = next(iter(emulator.settings.access_keys.items()))
    gateway = {
        "KLING_SERVICE": emulator.url,
        "KLING_API_KEY": emulator.api_key,
    }
    official = {
        "KLING_SERVICE": f"official:{emulator.url}",
        "KLING_ACCESS_KEY": access_key,
        "KLING_SECRET_KEY": secret_key,
    }
    text: str | bytes
    if as_json:
        text = json_line({"url": emulator.url, "environment": gateway, "official": official})
    else:
        text = f"{_export(gateway)}\n# or, for Kling's own path: {_export(official)}"
    try:
        write_out(text)
        where = "a line above"
    except NotPrinted:  # it can be used all the same
        where = _export(gateway)
    say(f"emulator at {emulator.url}; in another shell run {where}; Ctrl-C ends it")


def _export(environment: Mapping[str, str]) -> str:
    import shlex

    return "export " + " ".join(f"{k}={shlex.quote(v)}" for k, v in environment.items())
