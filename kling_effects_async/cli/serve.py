"""``kling-effects emulate``: the emulator in the foreground, until somebody stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from kling_effects_async.cli.exit_codes import ExitCode
from kling_effects_async.cli.failure import Failure
from kling_effects_async.cli.loops import run
from kling_effects_async.cli.request_lines import request_lines
from kling_effects_async.cli.sentences import in_our_words
from kling_effects_async.cli.signals import stopped_gently
from kling_effects_async.cli.talk import plain_talk
from kling_effects_async.emulator import Emulator, EmulatorError

__all__ = ["serve"]

# Arguments of Emulator that are checked there, and what sets them.
_OPTIONS = {
    "bearer_keys": "--api-key",
    "webhook_secret": "--webhook-secret",
    "units": "--units",
    "balance_units": "--balance-units",
}


def serve(options: Mapping[str, Any], announce: Callable[[Emulator], None], *, quiet: bool) -> None:
    """Run an emulator until Ctrl-C or SIGTERM, both of which are a normal end.

    Args:
        options: the arguments of ``Emulator``.
        announce: called once it listens.
        quiet: log no requests.

    Raises:
        Failure: it cannot start; says why.
    """
    emulator = _made(options)
    with (
        plain_talk(),
        request_lines(is_wanted=not quiet),
        suppress(KeyboardInterrupt, asyncio.CancelledError),
    ):
        run(_serve(emulator, announce))


def _made(options: Mapping[str, Any]) -> Emulator:
    try:
        return Emulator(**options)
    except ValueError as error:
        raise Failure(ExitCode.USAGE, [_as_option(str(error))]) from None


def _as_option(sentence: str) -> str:
    """A sentence about an argument, which is its first word, as one about an option."""
    name, _, rest = sentence.partition(" ")
    option = _OPTIONS.get(name)
    return sentence if option is None else f"{option} {rest}"


async def _serve(emulator: Emulator, announce: Callable[[Emulator], None]) -> None:
    with stopped_gently():
        try:
            async with emulator:
                announce(emulator)
                await asyncio.Event().wait()
        except EmulatorError as error:
            raise Failure(ExitCode.SETTINGS, [in_our_words(str(error))]) from error
