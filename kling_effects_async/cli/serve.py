"""``kling-effects emulate``: the emulator in the foreground, until somebody stops it.

It prints how other programs reach it, and logs a line a request on stderr.
"""

from __future__ import annotations

import asyncio
import json
import logging
import select
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from kling_effects_async.cli.console import say
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.messages import in_our_words, show_library_messages
from kling_effects_async.cli.runner import run, stopped_gently
from kling_effects_async.cli.streams import NotPrinted, write_out
from kling_effects_async.emulator import Emulator, EmulatorError
from kling_effects_async.emulator.request_log import LOGGER_NAME

__all__ = ["announce", "request_lines", "serve"]

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
        show_library_messages(),
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


def announce(emulator: Emulator, *, as_json: bool) -> None:
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
    if as_json:
        told = json.dumps({"url": emulator.url, "environment": gateway, "official": official})
    else:
        told = f"{_export(gateway)}\n# or, for Kling's own path: {_export(official)}"
    try:
        write_out(told)
        where = "a line above"
    except NotPrinted:  # it can be used all the same
        where = _export(gateway)
    say(f"emulator at {emulator.url}; in another shell run {where}; Ctrl-C ends it")


def _export(environment: Mapping[str, str]) -> str:
    return "export " + " ".join(f"{k}={shlex.quote(v)}" for k, v in environment.items())


@contextmanager
def request_lines(*, is_wanted: bool) -> Iterator[None]:
    """Within the block, every request of an emulator is told in one line."""
    if not is_wanted:
        yield
        return
    logger, handler = logging.getLogger(LOGGER_NAME), _RequestLines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


class _RequestLines(logging.Handler):
    """Says a line if that takes no time: a full pipe that nobody reads must not stop requests."""

    def emit(self, record: logging.LogRecord) -> None:
        if _can_be_written():
            say(record.getMessage())


def _can_be_written() -> bool:
    """Whether a line fits. A pipe is writable when 4 KiB are free (POSIX, PIPE_BUF), a line less.

    ``True`` where nobody can tell: on Windows, and for a stream without a file.
    """
    try:
        poll = select.poll()
        poll.register(sys.stderr, select.POLLOUT)
        return any(event & select.POLLOUT for _file, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):
        return True
