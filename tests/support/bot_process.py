"""The aiogram example as a process of its own, to be killed; started by ``test_aiogram_bot``.

BOT_API_URL FOLDER, and ``KLING_API_KEY`` and ``KLING_SERVICE`` in the environment.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import closing
from pathlib import Path

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from examples.aiogram_bot import EffectsBot, Orders

from kling_effects_async import EffectsClient
from tests.support.bot_api import TOKEN


async def main(url: str, folder: Path) -> None:
    session = AiohttpSession(api=TelegramAPIServer.from_base(url))
    client = EffectsClient.from_env(journal=folder / "jobs.db")
    async with client, Bot(TOKEN, session=session) as bot:
        with closing(Orders(folder / "orders.db")) as orders:
            await EffectsBot(bot, client, orders).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
