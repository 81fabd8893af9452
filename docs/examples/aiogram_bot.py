"""A Telegram bot: a photograph comes in, its clip goes out, and no restart pays or sends twice.

It tells each user the place in the queue, then when the clip is expected, and why there is none.
Users take turns (``share=``), however many photographs one of them sends. Run it with
``pip install aiogram kling-effects-async`` and three variables of the environment::

    BOT_TOKEN=... KLING_API_KEY=... KLING_SERVICE=vapi python aiogram_bot.py

Two files make restarts safe. ``jobs.db`` is the client's journal: the same order submitted again
is the same task, paid once. ``orders.db`` has what users were promised: an order is in it before
Telegram is told that its update was taken, and open until its clip was sent. Telegram has no way
to send something once for sure: a kill between its "sent" and our row sends that one clip again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Coroutine
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from aiogram import Bot, Dispatcher, F
from aiogram.exceptions import TelegramAPIError
from aiogram.types import BufferedInputFile, Message

from kling_effects_async import (
    AccountError,
    BudgetExceededError,
    ClientClosedError,
    ContentRejectedError,
    EffectsClient,
    EffectTask,
    ImageRejectedError,
    KlingEffectsError,
    SingleImageEffect,
    TaskFailedError,
    VideoExpiredError,
)

MAX_CLIP_BYTES = 50 * 2**20  # what a bot may send
SCENE = "squish"
# Errors that end an order, and what the user reads. After any other a task may exist, or the clip
# can still be had: the order stays open, and the next start takes it up again.
FINAL: dict[type[KlingEffectsError], str] = {
    ContentRejectedError: "This photo was rejected by moderation. Please send another one.",
    ImageRejectedError: "This photo cannot be used: {error.problems[0]}",
    AccountError: "The bot has no money left. Please come back later.",
    BudgetExceededError: "The bot has spent its budget. Please come back later.",
    TaskFailedError: "No clip could be made: {error.snapshot.message}",
    VideoExpiredError: "Your clip is no longer kept. Please send the photo again.",
}
log = logging.getLogger(__name__)


class Order(NamedTuple):
    chat_id: int
    message_id: int
    user_id: int
    file_id: str

    @property
    def name(self) -> str:
        """The external id: the same update, delivered again, has the same."""
        return f"telegram:{self.chat_id}:{self.message_id}"


class Orders:
    """What users were promised, in an SQLite file."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute(
            "create table if not exists orders (chat_id integer, message_id integer, "
            "user_id integer, file_id text, is_open integer default 1, "
            "primary key (chat_id, message_id))"
        )

    def add(self, order: Order) -> bool:
        """Whether it is new."""
        columns = "(chat_id, message_id, user_id, file_id)"
        insert = f"insert or ignore into orders {columns} values (?, ?, ?, ?)"
        return self._db.execute(insert, order).rowcount == 1

    def open(self) -> list[Order]:
        select = "select chat_id, message_id, user_id, file_id from orders where is_open"
        return [Order(*row) for row in self._db.execute(select)]

    def close_order(self, order: Order) -> None:
        update = "update orders set is_open = 0 where chat_id = ? and message_id = ?"
        self._db.execute(update, order[:2])

    def close(self) -> None:
        self._db.close()


class EffectsBot:
    """Long polling for photographs; each order is a task of its own."""

    def __init__(
        self, bot: Bot, client: EffectsClient, orders: Orders, *, look_s: float = 1.0
    ) -> None:
        self._bot, self._client, self._orders, self._look_s = bot, client, orders, look_s
        self._at_work: set[asyncio.Task[None]] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._dispatcher = Dispatcher()
        self._dispatcher.message.register(self._take, F.photo)

    async def run(self) -> None:
        """Go on with what is open, and take orders until a signal, or ``stop``."""
        for order in self._orders.open():
            self._begin(order)
        try:
            # One update after the other: Telegram forgets it only after `_take` has written it.
            await self._dispatcher.start_polling(
                self._bot, handle_as_tasks=False, close_bot_session=False
            )
        finally:
            for work in self._at_work:
                work.cancel()
            await asyncio.gather(*self._at_work, return_exceptions=True)
            await asyncio.gather(*self._endings)

    async def stop(self) -> None:
        await self._dispatcher.stop_polling()

    async def _take(self, message: Message) -> None:
        if not message.photo or message.from_user is None:
            return
        largest = message.photo[-1].file_id
        order = Order(message.chat.id, message.message_id, message.from_user.id, largest)
        if self._orders.add(order):
            self._begin(order)

    def _begin(self, order: Order) -> None:
        self._keep(self._at_work, self._serve(order))

    def _keep(
        self, tasks: set[asyncio.Task[None]], work: Coroutine[None, None, None]
    ) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    async def _serve(self, order: Order) -> None:
        last: Coroutine[None, None, object]
        try:
            last = self._send(order, await self._clip(order))
        except ClientClosedError:
            return  # the bot stops
        except Exception as error:  # an order's own edge: the others go on
            if not isinstance(error, tuple(FINAL)):
                log.exception("order %s stays open until the next start", order.name)
                return
            last = self._tell(order, in_words(error))
        # A stop lets it finish: what is half sent would be sent again.
        await asyncio.shield(self._keep(self._endings, self._end(order, last)))

    async def _end(self, order: Order, last: Coroutine[None, None, object]) -> None:
        try:
            await last
        except TelegramAPIError:
            log.exception("order %s stays open until the next start", order.name)
        else:
            self._orders.close_order(order)

    async def _clip(self, order: Order) -> bytes:
        task = await self._submit(order)
        await self._tell(order, expectation(task))
        clip = BytesIO()
        await self._client.download((await task).video, clip, max_bytes=MAX_CLIP_BYTES)
        return clip.getvalue()

    async def _send(self, order: Order, clip: bytes) -> None:
        file = BufferedInputFile(clip, "clip.mp4")
        await self._bot.send_video(order.chat_id, file, reply_to_message_id=order.message_id)

    async def _submit(self, order: Order) -> EffectTask:
        """Submit it, and tell the place in the queue whenever it has changed."""
        photo = await self._bot.download(order.file_id)
        assert photo is not None  # `download` without a destination returns the bytes
        effect = SingleImageEffect(SCENE, image=photo.read())
        share = f"user-{order.user_id}"
        submitting = asyncio.create_task(
            self._client.submit(effect, external_task_id=order.name, share=share)
        )
        try:
            told = None
            while not (await asyncio.wait({submitting}, timeout=self._look_s))[0]:
                position = self._client.queue_position(order.name)
                if position not in (None, told):
                    told = position
                    await self._tell(order, f"You are number {position} in the queue.")
            return await submitting
        finally:
            submitting.cancel()  # a submit that is on its way is written down all the same

    async def _tell(self, order: Order, text: str) -> None:
        await self._bot.send_message(order.chat_id, text, reply_to_message_id=order.message_id)


def expectation(task: EffectTask) -> str:
    match task.expected_end:
        case (_, last):
            return f"Your clip is being made; expect it by {last:%H:%M:%S} UTC."
        case None:
            return "Your clip is being made."


def in_words(error: Exception) -> str:
    words = next(words for kind, words in FINAL.items() if isinstance(error, kind))
    return words.format(error=error)


async def main() -> None:
    async with (
        EffectsClient.from_env(journal="jobs.db") as client,
        Bot(os.environ["BOT_TOKEN"]) as bot,
    ):
        with closing(Orders(Path("orders.db"))) as orders:
            await EffectsBot(bot, client, orders).run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main())
