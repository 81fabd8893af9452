"""Takes callbacks from any web framework, and hands them to the clients that they are for.

    the path's last part is no client's   404, and the body is not read
    more than the limits allow            429, unless it is rightly signed; without the headers of
                                          a signature the body is not read
    larger than 64 KiB, or too slow       413 or 408, and the rest is not read
    no callback                           400
    anything else                         200

Whether a signature is right, and whether there is such a task, is counted and not answered: a
stranger learns nothing. No forwarded header is read: nothing here depends on who the sender is.

One receiver belongs to one event loop, that of its clients.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kling_effects_async.callbacks.bodies import CallbackBody, check_type, read_body
from kling_effects_async.callbacks.messages import (
    CallbackAnswer,
    CallbackMessage,
    CallbackRejected,
    CallbackStats,
    Subscriber,
)
from kling_effects_async.callbacks.paths import CallbackPath, CallbackPaths
from kling_effects_async.callbacks.request_types import check_headers, check_path
from kling_effects_async.callbacks.seen_ids import SeenIds
from kling_effects_async.callbacks.signature import CallbackVerdict, Secrets, webhook_id
from kling_effects_async.errors import ReplyError, SettingsError
from kling_effects_async.log_fields import log_fields
from kling_effects_async.protocol.callbacks import read_callback
from kling_effects_async.protocol.redaction import without_arguments
from kling_effects_async.transport.clock import Clock, SystemClock
from kling_effects_async.web_address import address_label, address_problem, tidied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

__all__ = ["CallbackReceiver"]

_log = logging.getLogger(__name__)

_MAX_AT_ONCE = 64  # bodies that are read at the same time, so 4 MiB

_COUNTED = {
    CallbackVerdict.SIGNED: "signed",
    CallbackVerdict.UNSIGNED: "unsigned",
    CallbackVerdict.WRONG: "wrong_signature",
    CallbackVerdict.STALE: "stale",
}
_TAKEN = CallbackAnswer(status=200, reason="taken")


class CallbackReceiver:
    """Takes Kling's callbacks for the clients that it is given to.

    ::

        receiver = CallbackReceiver("https://bot.example/kling", secrets=[os.environ["SECRET"]])
        app.add_routes(receiver.routes())
        async with EffectsClient.from_env(callbacks=receiver) as client: ...

    Args:
        public_url: the http(s) address under which the service reaches ``routes``. Each client adds
            a part of its own to it, which nobody can guess.
        secrets: of Kling's console, ``whsec_...``; several while one replaces another. Without one
            nothing is proved, and a message only makes a client poll its task.
        clock: replaces time, for tests.

    Raises:
        SettingsError: the address or a secret cannot be one; the message says what to correct.
        TypeError: an argument is of a wrong type.
    """

    @without_arguments
    def __init__(
        self, public_url: str, secrets: Iterable[str] = (), *, clock: Clock | None = None
    ) -> None:
        self._public_url = _public_address(public_url)
        self._secrets = Secrets.of(secrets)
        self._clock = clock or SystemClock()
        self._paths = CallbackPaths()
        self._seen = SeenIds()
        self._counts: Counter[str] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None  # of those who are subscribed
        self._reading = 0

    def __repr__(self) -> str:
        is_made = hasattr(self, "_reading")  # a report may show one whose constructor failed
        where = f" at {address_label(self._public_url)}" if is_made else ", not made"
        return f"<CallbackReceiver{where}>"

    @property
    def public_url(self) -> str:
        """The address that it was made with, without a slash at its end."""
        return self._public_url

    @property
    def has_secrets(self) -> bool:
        """Whether a signature can be checked."""
        return bool(self._secrets)

    @property
    def stats(self) -> CallbackStats:
        """How many callbacks came so far."""
        return CallbackStats(**self._counts)

    def routes(self, path: str | None = None) -> list[web.RouteDef]:
        """For ``aiohttp.web.Application.add_routes``.

        Args:
            path: where they are in the application; by default the path of ``public_url``. Another
                one is for a proxy that cuts off a part.
        """
        from kling_effects_async.callbacks.server import routes_of

        return routes_of(self.receive, urlsplit(self._public_url).path if path is None else path)

    async def receive(
        self, headers: Mapping[str, str], body: CallbackBody, *, path: str
    ) -> CallbackAnswer:
        """Take one POST of any web framework; never raises for what was sent.

        Args:
            headers: of the request, with names in any case.
            body: the raw bytes as they came, or an async iterator of them, of which no more is read
                than is allowed. What was decoded or parsed already cannot be checked any more.
            path: the request's path; its last part is what counts.

        Returns:
            What to answer.

        Raises:
            TypeError: the headers, the body or the path is none; the message says what to pass.
            RuntimeError: it is called in another event loop than that of the clients.
        """
        self._check_loop()
        check_headers(headers)
        check_type(body)
        check_path(path)
        try:
            known_path = self._path_of(path)
            message = await self._message(known_path, headers, body)
        except CallbackRejected as rejected:
            status, reason, counted = rejected.args
            return self._reject(status, reason, counted)
        self._take(known_path, message, headers)
        return _TAKEN

    def subscribe(self, token: str, subscriber: Subscriber) -> Callable[[], None]:
        """Hand every message that comes to ``<public_url>/<token>`` to this subscriber.

        Args:
            token: what nobody can guess, of letters, digits, ``-`` and ``_``.

        Several may have one token, as the clients of one account have: each hears every message.

        Returns:
            What ends it.

        Raises:
            RuntimeError: somebody is subscribed in another event loop.
        """
        self._check_loop()
        return self._paths.add(token, subscriber)

    # -- inside

    def _check_loop(self) -> None:
        """A loop that has ended is none, nor one without subscribers."""
        loop = None
        with suppress(RuntimeError):
            loop = asyncio.get_running_loop()
        if not self._paths or self._loop is None or self._loop.is_closed():
            self._loop = loop
        elif loop not in (None, self._loop):
            raise RuntimeError(
                "this receiver belongs to another event loop, that of its clients; run them and "
                "the web server in one loop, or give each loop a receiver of its own"
            )

    def _path_of(self, path: str) -> CallbackPath:
        found = self._paths.find(path.rstrip("/").rpartition("/")[2])
        if found is None:
            raise CallbackRejected(404, "not found", "not_found")
        return found

    async def _message(
        self, path: CallbackPath, headers: Mapping[str, str], body: CallbackBody
    ) -> CallbackMessage:
        # In a flood only what is rightly signed is taken: an HMAC costs less than the request does.
        is_flood = not path.bucket.take(self._clock.monotonic())
        if is_flood and not self._secrets.may_be_right(headers, self._clock.now()):
            raise _too_many()
        with self._room():
            whole = await read_body(headers, body)
        verdict = self._secrets.judge(headers, whole, self._clock.now())
        if is_flood and verdict is not CallbackVerdict.SIGNED:
            raise _too_many()
        try:
            return CallbackMessage(snapshot=read_callback(whole), verdict=verdict)
        except ReplyError:
            raise CallbackRejected(400, "no callback", "malformed") from None

    @contextmanager
    def _room(self) -> Iterator[None]:
        if self._reading >= _MAX_AT_ONCE:
            raise _too_many()
        self._reading += 1
        try:
            yield
        finally:
            self._reading -= 1

    def _take(
        self, path: CallbackPath, message: CallbackMessage, headers: Mapping[str, str]
    ) -> None:
        self._count(_COUNTED[message.verdict])
        message_id = webhook_id(headers)
        if message.is_signed and message_id is not None and not self._seen.is_new(message_id):
            self._count("duplicates")
        elif not path.take(message):
            self._count("unknown")

    def _reject(self, status: int, reason: str, counted: str) -> CallbackAnswer:
        self._count(counted)
        return CallbackAnswer(status=status, reason=reason)

    def _count(self, name: str) -> None:
        self._counts[name] += 1
        is_first = self._counts[name] == 1  # a flood of them is one line
        is_expected = name == "unsigned" and not self.has_secrets
        if is_first and name in _WARNINGS and not is_expected:
            _log.warning(
                "%s; more of them are only counted (stats.%s)",
                _WARNINGS[name],
                name,
                extra=log_fields("callback.counted", kind=name),
            )


# What a person should look at.
_WARNINGS = {
    "unsigned": (
        "a callback has no signature, though this receiver has a secret: somebody else sent it, "
        "the account has no secret, or the request's headers are not passed on whole"
    ),
    "wrong_signature": (
        "a callback has a wrong signature: it is forged, or the secret is not that of the account"
    ),
    "stale": (
        "a callback is signed for another time: it was sent again by somebody, or this machine's "
        "clock is more than five minutes off"
    ),
    "malformed": "what came as a callback cannot be read as one",
    "rate_limited": "too many callbacks came at once, and some were rejected with 429",
}


def _too_many() -> CallbackRejected:
    return CallbackRejected(429, "too many", "rate_limited")


def _public_address(public_url: object) -> str:
    if not isinstance(public_url, str):
        raise TypeError(f"public_url must be a str, not {type(public_url).__name__}")
    address = tidied(public_url)
    problem = address_problem(address)
    if problem is None and set("?#") & set(address):
        problem = "It must end with its path: leave out what begins with ? or #."
    if problem is None and "@" in urlsplit(address).netloc:
        problem = "It must have no user and no password: leave out what stands before the @."
    if problem is not None:
        raise SettingsError(
            f"public_url must be the http(s) address of the receiver, such as "
            f"https://bot.example/kling, not {address_label(address)!r}: {problem}"
        )
    return address.rstrip("/")
