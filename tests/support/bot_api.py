"""As much of Telegram's Bot API as a bot of photographs needs, on loopback.

As the real one does, ``getUpdates`` hands an update out again until a later offset confirms it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import frozen

__all__ = ["TOKEN", "BotApi", "SentMessage"]

TOKEN = "42:token-of-the-bot"


@frozen
class SentMessage:
    """What the bot sent: a text, or a video's bytes."""

    chat_id: int
    text: str = ""
    video: bytes = b""


class BotApi:
    """Hands out what ``send_photo`` gets, and keeps what the bot sends in ``sent``."""

    def __init__(self, photo: Path) -> None:
        self.sent: list[SentMessage] = []
        self.polls = 0  # calls of getUpdates
        self.answering = asyncio.Event()  # while it is cleared, a video is taken and not answered
        self.answering.set()
        self.refused = 0  # videos, answered with an error
        self.is_refusing = False
        self._photo = photo
        self._updates: list[dict[str, Any]] = []
        self._next_id = 1
        self._changed = asyncio.Condition()
        app = web.Application()
        app.router.add_post("/bot{token}/{method}", self._call)
        app.router.add_get("/file/bot{token}/{path}", self._file)
        self._server = TestServer(app)

    async def __aenter__(self) -> BotApi:
        await self._server.start_server()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._server.close()

    @property
    def url(self) -> str:
        return str(self._server.make_url("").origin())

    @property
    def videos(self) -> list[SentMessage]:
        return [message for message in self.sent if message.video]

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.sent if message.text]

    async def send_photo(self, message_id: int, *, user_id: int = 17) -> None:
        """A user sends the photograph; the same message again is the update delivered again."""
        photo = {"file_id": "f", "file_unique_id": "u", "width": 600, "height": 400}
        message = {
            "message_id": message_id,
            "date": 1_790_000_000,
            "chat": {"id": user_id, "type": "private"},
            "from": {"id": user_id, "is_bot": False, "first_name": "Ann"},
            "photo": [photo],
        }
        async with self._changed:
            self._updates.append({"update_id": self._next_id, "message": message})
            self._next_id += 1
            self._changed.notify_all()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Return once something holds; looked at whenever the bot calls."""
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(reached)

    def is_confirmed(self) -> bool:
        """Whether the bot has confirmed every update."""
        return not self._updates

    async def _call(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        answers = {
            "getMe": self._me,
            "getUpdates": self._get_updates,
            "getFile": self._get_file,
            "sendMessage": self._send_message,
            "sendVideo": self._send_video,
        }
        if request.match_info["token"] != TOKEN or method not in answers:
            return web.json_response(
                {"ok": False, "error_code": 404, "description": "Not Found"}, status=404
            )
        result = await answers[method](await request.post())
        return web.json_response({"ok": True, "result": result})

    async def _file(self, _request: web.Request) -> web.Response:
        return web.Response(body=await asyncio.to_thread(self._photo.read_bytes))

    async def _me(self, _form: Mapping[str, Any]) -> object:
        return {"id": 42, "is_bot": True, "first_name": "Effects", "username": "effects_bot"}

    async def _get_updates(self, form: Mapping[str, Any]) -> object:
        offset = int(form.get("offset", 0))
        async with self._changed:
            self.polls += 1
            self._updates = [u for u in self._updates if u["update_id"] >= offset]
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._updates)
            return list(self._updates)

    async def _get_file(self, form: Mapping[str, Any]) -> object:
        return {"file_id": form["file_id"], "file_unique_id": "u", "file_path": "photo.jpg"}

    async def _send_message(self, form: Mapping[str, Any]) -> object:
        chat_id = int(form["chat_id"])
        return await self._keep(SentMessage(chat_id, text=str(form["text"])))

    async def _send_video(self, form: Mapping[str, Any]) -> object:
        reference = str(form["video"]).removeprefix("attach://")
        file = form[reference]
        assert isinstance(file, web.FileField), json.dumps(sorted(form))
        video = await asyncio.to_thread(file.file.read)
        if self.is_refusing:
            await self._refuse()
        kept = await self._keep(SentMessage(int(form["chat_id"]), video=video))
        await self.answering.wait()
        return kept

    async def _refuse(self) -> NoReturn:
        async with self._changed:
            self.refused += 1
            self._changed.notify_all()
        text = json.dumps({"ok": False, "error_code": 502, "description": "Bad Gateway"})
        raise web.HTTPBadGateway(text=text, content_type="application/json")

    async def _keep(self, message: SentMessage) -> object:
        async with self._changed:
            self.sent.append(message)
            self._changed.notify_all()
        chat = {"id": message.chat_id, "type": "private"}
        return {"message_id": 1000 + len(self.sent), "date": 1_790_000_000, "chat": chat}
