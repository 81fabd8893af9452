"""``kling-effects emulate``: the emulator in the foreground, until somebody stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from kling_effects_async.cli.exit_codes import ExitCode
from kling_effects_async.cli.failure import Failure
from kling_effects_async.cli.loops import run
from kling_effects_async.cli.sentences import in_our_words
from kling_effects_async.cli.signals import ended_by_sigterm
from kling_effects_async.cli.talk import plain_talk
from kling_effects_async.emulator import Emulator, EmulatorError

__all__ = ["serve"]


def serve(options: Mapping[str, Any], announce: Callable[[Emulator], None]) -> None:
    """Run an emulator until Ctrl-C or SIGTERM, both of which are a normal end.

    Args:
        options: the arguments of ``Emulator``.
        announce: called once it listens.

    Raises:
        Failure: it cannot start; says why.
    """
    with plain_talk(), suppress(KeyboardInterrupt, asyncio.CancelledError):
        run(_serve(options, announce))


async def _serve(options: Mapping[str, Any], announce: Callable[[Emulator], None]) -> None:
    with ended_by_sigterm():
        try:
            async with Emulator(**options) as emulator:
                announce(emulator)
                await asyncio.Event().wait()
        except EmulatorError as error:
            raise Failure(ExitCode.SETTINGS, [in_our_words(str(error))]) from error
