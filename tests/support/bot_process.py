"""The aiogram example as a process of its own, to be killed.

It is a fork of the process of the tests: a new one would import aiogram for three seconds and more.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from attrs import frozen
from examples.aiogram_bot import EffectsBot, Orders

from kling_effects_async import EffectsClient
from tests.support.bot_api import TOKEN

__all__ = ["BotProcess", "forked_bot"]


@frozen
class BotProcess:
    """A process that begins to be the bot when it is told where Telegram is, and its folder."""

    process: ForkProcess
    arguments: Connection

    def begin(self, url: str, folder: Path, environ: dict[str, str]) -> None:
        self.arguments.send((url, folder, environ))

    def kill(self) -> int | None:
        """Send SIGKILL; what it ended with."""
        self.process.kill()
        self.process.join()
        return self.process.exitcode


@contextmanager
def forked_bot() -> Iterator[BotProcess]:
    """To be entered where no event loop runs, of which a fork would have a part."""
    context = multiprocessing.get_context("fork")
    theirs, ours = context.Pipe(duplex=False)
    with ours, theirs:
        bot = BotProcess(context.Process(target=_wait_to_begin, args=(theirs, ours)), ours)
        with warnings.catch_warnings():
            # Python 3.12 warns of other threads. That of a worker of pytest-xdist holds no lock
            # which the bot could wait for.
            warnings.simplefilter("ignore", DeprecationWarning)
            bot.process.start()
        try:
            yield bot
        finally:
            bot.kill()


def _wait_to_begin(arguments: Connection, other_end: Connection) -> None:
    other_end.close()  # so that it ends when the tests do
    url, folder, environ = arguments.recv()
    os.environ.update(environ)
    asyncio.run(_main(url, folder))


async def _main(url: str, folder: Path) -> None:
    session = AiohttpSession(api=TelegramAPIServer.from_base(url))
    client = EffectsClient.from_env(journal=folder / "jobs.db")
    async with client, Bot(TOKEN, session=session) as bot:
        with closing(Orders(folder / "orders.db")) as orders:
            await EffectsBot(bot, client, orders).run()
