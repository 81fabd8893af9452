"""The bot of ``docs/examples/aiogram_bot.py``: real aiogram, a local Bot API, the emulator."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from examples.aiogram_bot import EffectsBot, Orders

from kling_effects_async import PollPolicy, SlotPolicy
from kling_effects_async.emulator import Clips, Emulator, Fault
from tests.support.bot_api import TOKEN, BotApi
from tests.support.bot_process import BotProcess, forked_bot


@pytest.fixture
async def telegram(cat: Path) -> AsyncIterator[BotApi]:
    async with BotApi(cat) as api:
        yield api


@asynccontextmanager
async def running_bot(telegram: BotApi, emulator: Emulator, folder: Path) -> AsyncIterator[None]:
    session = AiohttpSession(api=TelegramAPIServer.from_base(telegram.url))
    client = emulator.client(
        journal=folder / "jobs.db",
        poll=PollPolicy(shortest_s=0.05),
        slots=SlotPolicy(start=1, maximum=1),
    )
    async with client, Bot(TOKEN, session=session) as bot:
        with closing(Orders(folder / "orders.db")) as orders:
            effects_bot = EffectsBot(bot, client, orders, look_s=0.02)
            polls = telegram.polls
            running = asyncio.create_task(effects_bot.run())
            await telegram.until(lambda: telegram.polls > polls)
            try:
                yield
            finally:
                await effects_bot.stop()
                for _ in range(200):  # turns of the loop, in which what is cancelled has ended
                    await asyncio.sleep(0)
                telegram.answering.set()
                await running


def quick_emulator(speed: float = 600) -> Emulator:
    return Emulator(speed=speed, clips=Clips.STOCK, task_seconds=60, slots=1)


async def test_a_photo_becomes_a_clip(telegram: BotApi, tmp_path: Path) -> None:
    async with quick_emulator() as emulator, running_bot(telegram, emulator, tmp_path):
        await telegram.send_photo(1, user_id=17)
        await telegram.until(lambda: bool(telegram.videos))
        await telegram.until(telegram.is_confirmed)
    (sent,) = telegram.videos
    assert sent.chat_id == 17
    assert sent.video[4:8] == b"ftyp"
    assert telegram.texts == ["Your clip is being made."]
    assert emulator.ledger.accepted("telegram:17:1") == 1


async def test_the_queue_position_is_told(telegram: BotApi, tmp_path: Path) -> None:
    # A task takes a second, and so a busy machine has the time to look at the queue.
    async with quick_emulator(speed=60) as emulator, running_bot(telegram, emulator, tmp_path):
        await telegram.send_photo(1, user_id=17)
        await telegram.until(lambda: bool(telegram.texts))
        await telegram.send_photo(2, user_id=18)
        await telegram.until(lambda: len(telegram.videos) == 2)
    assert "You are number 1 in the queue." in telegram.texts
    assert [sent.chat_id for sent in telegram.videos] == [17, 18]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.rejected(1301), "rejected by moderation"),
        (Fault.rejected(1102), "no money left"),
        (Fault.task_failed("no face was found"), "No clip could be made: no face was found"),
    ],
    ids=["content", "money", "task"],
)
async def test_a_failure_is_told_in_words(
    telegram: BotApi, tmp_path: Path, fault: Fault, words: str
) -> None:
    async with quick_emulator() as emulator, running_bot(telegram, emulator, tmp_path):
        emulator.fail_next(fault)
        await telegram.send_photo(1)
        await telegram.until(lambda: any(words in text for text in telegram.texts))
    assert telegram.videos == []


async def test_the_same_update_twice_is_paid_and_sent_once(
    telegram: BotApi, tmp_path: Path
) -> None:
    async with quick_emulator() as emulator:
        for _ in range(2):  # a bot that was restarted has forgotten what it has seen
            async with running_bot(telegram, emulator, tmp_path):
                await telegram.send_photo(1)
                await telegram.send_photo(1)
                await telegram.until(telegram.is_confirmed)
                await telegram.until(lambda: bool(telegram.videos))
    assert len(telegram.videos) == 1
    assert emulator.ledger.total == 1


async def test_a_restart_in_the_middle_delivers_once_and_pays_once(
    telegram: BotApi, tmp_path: Path
) -> None:
    async with quick_emulator(speed=60) as emulator:
        async with running_bot(telegram, emulator, tmp_path):
            await telegram.send_photo(1)
            await telegram.until(lambda: bool(telegram.texts))
        assert telegram.videos == []  # a stop waits for no task
        async with running_bot(telegram, emulator, tmp_path):
            await telegram.until(lambda: bool(telegram.videos))
        async with running_bot(telegram, emulator, tmp_path):
            await telegram.send_photo(2, user_id=18)
            await telegram.until(lambda: any(sent.chat_id == 18 for sent in telegram.videos))
    assert [sent.chat_id for sent in telegram.videos] == [17, 18]
    assert emulator.ledger.total == 2


async def test_a_clip_that_is_being_sent_at_a_stop_is_sent_once(
    telegram: BotApi, tmp_path: Path
) -> None:
    """Telegram has the clip and has not answered yet: it is neither sent again nor forgotten."""
    async with quick_emulator() as emulator:
        telegram.answering.clear()
        async with running_bot(telegram, emulator, tmp_path):
            await telegram.send_photo(1)
            await telegram.until(lambda: bool(telegram.videos))
        async with running_bot(telegram, emulator, tmp_path):
            await telegram.send_photo(2, user_id=18)
            await telegram.until(lambda: any(sent.chat_id == 18 for sent in telegram.videos))
    assert [sent.chat_id for sent in telegram.videos] == [17, 18]


async def test_a_clip_that_telegram_did_not_take_is_sent_by_the_next_start(
    telegram: BotApi, tmp_path: Path
) -> None:
    async with quick_emulator() as emulator:
        telegram.is_refusing = True
        async with running_bot(telegram, emulator, tmp_path):
            await telegram.send_photo(1)
            await telegram.until(lambda: telegram.refused == 1)
        telegram.is_refusing = False
        async with running_bot(telegram, emulator, tmp_path):
            await telegram.until(lambda: bool(telegram.videos))
    assert (len(telegram.videos), emulator.ledger.total) == (1, 1)


@pytest.fixture(scope="module")
def bot_process() -> Iterator[BotProcess]:
    """Of the module, and so forked before the loop of the test begins."""
    with forked_bot() as bot:
        yield bot


async def test_a_killed_bot_delivers_once_and_pays_once(
    bot_process: BotProcess, telegram: BotApi, tmp_path: Path
) -> None:
    async with quick_emulator(speed=60) as emulator:
        keys = {"KLING_API_KEY": emulator.api_key, "KLING_SERVICE": emulator.url}
        bot_process.begin(telegram.url, tmp_path, keys)
        await telegram.send_photo(1)
        await telegram.until(lambda: telegram.texts == ["Your clip is being made."])
        assert await asyncio.to_thread(bot_process.kill) == -signal.SIGKILL
        assert emulator.ledger.total == 1
        assert telegram.videos == []
        async with running_bot(telegram, emulator, tmp_path):
            await telegram.until(lambda: bool(telegram.videos))
            await telegram.until(telegram.is_confirmed)
    assert len(telegram.videos) == 1
    assert emulator.ledger.total == 1
