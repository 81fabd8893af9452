"""``kling-effects listen``: a receiver of callbacks alone, which prints what comes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import rich_click as click

from kling_effects_async import cli
from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import json_line, one_line, say, write_out
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.options import as_json, listening, text
from kling_effects_async.cli.signals import loaded

if TYPE_CHECKING:
    import asyncio
    import socket

    from kling_effects_async import CallbackMessage, CallbackReceiver

__all__ = ["listen"]

_EXAMPLES = ("kling-effects listen --public-url https://hooks.example/kling",)

_SECRETS, _TOKEN = "KLING_CALLBACK_SECRETS", "KLING_CALLBACK_TOKEN"
_UNSIGNED = (
    f"{_SECRETS} has no secret, so no message can be proved to be Kling's: set it to the secret "
    "(whsec_...) of Kling's console, and query a task before you rely on what is claimed here"
)
_EVERY = (
    "callback_url can be reached from this machine alone: for others pass --public-url, with the "
    "address under which they reach it"
)
_RANDOM_BYTES = 18
_TOKEN_TEXT = re.compile(r"[A-Za-z0-9_-]{16,}")


@click.command(cls=Command, examples=_EXAMPLES, context_settings={"show_default": True})
@listening(port=8788)
@click.option(
    "--public-url",
    metavar="URL",
    callback=text("URL"),
    help="Where the service reaches this address, as through a tunnel; by default the address "
    "itself, or for 0.0.0.0 that of this machine alone.",
)
@as_json
def listen(port: int, host: str, public_url: str | None, as_json: bool) -> None:
    """Print every callback that comes, one a line.

    It runs until Ctrl-C. The first line is the address to pass as callback_url, whose last part is
    random, or KLING_CALLBACK_TOKEN. Signatures are checked by KLING_CALLBACK_SECRETS, which has one
    secret (whsec_...) or several with spaces between them. No task is queried, and nothing is paid.
    """
    loaded("kling_effects_async.callbacks.server")
    import asyncio
    import os

    with (
        cli.messages.errors_as_failures(),
        # To be stopped is how it ends, and no failure.
        suppress(KeyboardInterrupt, asyncio.CancelledError),
        _bound(host, port) as listening,
    ):
        receiver = _receiver(public_url or _own_url(listening), os.environ)
        cli.runner.run(_serve(receiver, listening, _token(os.environ), as_json=as_json))


def _receiver(public_url: str, environ: Mapping[str, str]) -> CallbackReceiver:
    from kling_effects_async import CallbackReceiver

    receiver = CallbackReceiver(public_url, environ.get(_SECRETS, "").replace(",", " ").split())
    if not receiver.has_secrets:
        say(_UNSIGNED)
    return receiver


def _token(environ: Mapping[str, str]) -> str:
    import secrets

    token = environ.get(_TOKEN) or secrets.token_urlsafe(_RANDOM_BYTES)
    if not _TOKEN_TEXT.fullmatch(token):
        raise Failure(
            ExitCode.SETTINGS,
            [f"{_TOKEN} must be 16 or more of the characters A-Z a-z 0-9 _ -, in no order"],
        )
    return token


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    import socket

    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        why = error.strerror or str(error)
        line = f"cannot listen on port {port} of {host}: {why}; choose another with --port, or 0"
        raise Failure(ExitCode.SETTINGS, [line]) from error
    with listening:
        yield listening


def _own_url(listening: socket.socket) -> str:
    """Without ``--public-url``; nobody can send to 0.0.0.0, which stands for every address."""
    import ipaddress

    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        say(_EVERY)
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _serve(
    receiver: CallbackReceiver, listening: socket.socket, token: str, *, as_json: bool
) -> None:
    import asyncio

    from aiohttp import web

    messages: asyncio.Queue[CallbackMessage] = asyncio.Queue()

    def take(message: CallbackMessage) -> bool:
        messages.put_nowait(message)
        return True

    receiver.subscribe(token, take)
    app = web.Application()
    app.add_routes(receiver.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)  # a log would have the token
    with cli.runner.stopped_gently():
        try:
            await runner.setup()
            await web.SockSite(runner, listening).start()
            await _print(f"{receiver.public_url}/{token}", messages, as_json=as_json)
        finally:
            await runner.cleanup()
            say(_summary(receiver))


async def _print(url: str, messages: asyncio.Queue[CallbackMessage], *, as_json: bool) -> None:
    write_out(json_line({"callback_url": url}) if as_json else f"callback_url {url}")
    while True:
        message = await messages.get()
        write_out(json_line(_row(message)) if as_json else _line(message))


def _row(message: CallbackMessage) -> dict[str, Any]:
    claim = message.snapshot
    return {
        "signature": message.verdict.value,
        "task_id": claim.task_id,
        "external_task_id": claim.external_task_id,
        "status": str(claim.status),
        "raw_status": claim.raw_status,
        "message": claim.message,
        "videos": [video.url for video in claim.videos],
    }


def _line(message: CallbackMessage) -> str:
    claim = message.snapshot
    known = [claim.external_task_id or "-", str(claim.status), claim.message]
    return one_line(f"[{message.verdict.value}] {claim.task_id} {' '.join(known)}")


def _summary(receiver: CallbackReceiver) -> str:
    from attrs import asdict

    counts = {name: count for name, count in asdict(receiver.stats).items() if count}
    counted = (f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
    return f"callbacks that came: {', '.join(counted) or 'none'}"
