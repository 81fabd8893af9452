"""Secrets that can be told apart in any output, a service that is sent all of them, and a search.

Everything secret has a mark of its own: both access keys, the tokens signed with them (their
beginning is the mark), a proxy's password, the query of a callback's address and of an image's, and
what a service repeats in its messages. Signatures of clips are random: the proxy knows them.
"""

from __future__ import annotations

import copy
import json
import pickle
import re
import traceback
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from attrs import define, field

from kling_effects_async import AccessKeys, EffectsClient, Service, SingleImageEffect
from kling_effects_async.emulator import Clips, Emulator
from tests.support.fault_proxy import FaultProxy, whole_answer
from tests.support.proxy_server import ProxyServer
from tests.support.recorded import Recorded

__all__ = [
    "ACCESS",
    "CALLBACK_URL",
    "EFFECT",
    "KEYS",
    "NEVER_KEPT",
    "NEVER_SHOWN",
    "PASSWORD",
    "PICTURE",
    "REPEATED",
    "SECRET",
    "Stage",
    "leaks",
    "repeating",
    "shown_of",
    "told_of",
]

ACCESS, SECRET = "MARKACCESS0123456789", "MARKSECRET" * 4
KEYS = (ACCESS, SECRET)
PASSWORD, SAID, PICTURE, CALLBACK = "MARKPASSWORD", "MARKSAID", "MARKPICTURE", "MARKCALLBACK"
CALLBACK_URL = f"http://127.0.0.1:1/hook?token={CALLBACK}"
EFFECT = SingleImageEffect("disco_paws", image=f"https://i.example/a.jpg?X-Amz-Signature={PICTURE}")
# The journal has to keep the addresses of callbacks, images and clips.
NEVER_KEPT = ("MARKACCESS", "MARKSECRET", "eyJ", PASSWORD, SAID)
NEVER_SHOWN = (*NEVER_KEPT, PICTURE, CALLBACK)
# What a service may repeat of all that it was told.
REPEATED = f"{ACCESS} {SECRET} someone:{PASSWORD} https://v.example/a?sig={SAID} {CALLBACK_URL}"


def repeating(status: int, code: int, **headers: str) -> bytes:
    """A rejection whose message and request id repeat secrets."""
    said = {"code": code, "message": REPEATED, "request_id": REPEATED}
    return whole_answer(status, json.dumps(said).encode(), **headers)


def leaks(shown: str, secrets: tuple[str, ...]) -> list[str]:
    """Each secret that is there, in capitals or not, with what stands around it."""
    low = shown.lower()
    found = [(each, low.index(each.lower())) for each in secrets if each.lower() in low]
    return [f"{each}: {shown[max(0, at - 80) : at + 60]}" for each, at in found]


def told_of(error: BaseException) -> str:
    """All that a report of an error may show: texts, members, and the locals of our frames."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [frame for frame in report.stack if "/kling_effects_async/" in frame.filename]
    shown = [str(frame.locals) for frame in frames]
    while report.__cause__ or report.__context__:
        report = report.__cause__ or report.__context__  # type: ignore[assignment]  # looked at above
        shown += [str(frame.locals) for frame in report.stack]
    return f"{shown_of(error)} {shown}"


def shown_of(error: BaseException) -> str:
    """What an error shows by itself, and what of it goes to another process."""
    written = pickle.dumps(error).decode("latin-1")
    copies = [pickle.loads(pickle.dumps(error)), copy.copy(error)]
    texts = [f"{each} {each!r} {vars(each)}" for each in (error, *copies)]
    return f"{texts} {''.join(traceback.format_exception(error))} {written}"


@define
class Stage:
    """A service behind two proxies, one of ours and one that spoils answers.

    Attributes:
        gate: the proxy that the clients are told of, with its password.
        wire: the proxy behind it, which the clients take for the service.
        exits: closes what was opened.
        clients: all that were made.
        recorded: what they told of themselves.
    """

    folder: Path
    exits: AsyncExitStack
    emulator: Emulator = field(init=False)
    gate: ProxyServer = field(init=False)
    wire: FaultProxy = field(init=False)
    clients: list[EffectsClient] = field(init=False, factory=list)
    recorded: Recorded = field(init=False, factory=Recorded)

    async def open(self) -> None:
        self.emulator = await self.exits.enter_async_context(
            Emulator(clips=Clips.STOCK, task_seconds=20.0, seed=1, access_keys={ACCESS: SECRET})
        )
        self.wire = await self.exits.enter_async_context(FaultProxy(self.emulator.url))
        self.gate = await self.exits.enter_async_context(ProxyServer())

    @property
    def journal(self) -> Path:
        return self.folder / "jobs.db"

    @property
    def proxy(self) -> str:
        return self.gate.url_with(f"someone:{PASSWORD}")

    async def client(self, *, url: str | None = None, **options: Any) -> EffectsClient:
        """A client with the marked keys and the journal, through both proxies."""
        given: dict[str, Any] = {"journal": self.journal, "proxy": self.proxy} | options
        given["telemetry"] = self.recorded.telemetry
        client = EffectsClient(
            AccessKeys(*KEYS),
            service=Service.official(base_url=url or self.wire.url),
            **given,
        )
        self.clients.append(client)
        return await self.exits.enter_async_context(client)

    @property
    def signatures(self) -> tuple[str, ...]:
        """Of the addresses of clips that came."""
        came = b"".join(bytes(each.answer) for each in self.wire.connections)
        return tuple(sorted({each.decode() for each in re.findall(rb"sign=(\w+)", came)}))

    @property
    def tokens(self) -> set[bytes]:
        """The tokens that were sent."""
        went = b"".join(bytes(each.request) for each in self.wire.connections)
        return set(re.findall(rb"Bearer (eyJ\S+)", went))

    def kept(self) -> str:
        """The bytes of the journal's files: the database, its log, its lock."""
        return b"".join(path.read_bytes() for path in self.folder.glob("jobs.db*")).decode(
            "latin-1"
        )
