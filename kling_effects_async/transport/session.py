"""Request -> Reply over aiohttp: limits, and nothing secret in what goes wrong.

aiohttp is imported at the first request, because to import it takes longer than all of ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from attrs import astuple

from kling_effects_async.errors import (
    AuthenticationError,
    ClientClosedError,
    KlingEffectsError,
    ReplyError,
)
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.observer import NOBODY
from kling_effects_async.policy import RetryPolicy
from kling_effects_async.protocol.messages import Reply, Request, retry_after_seconds
from kling_effects_async.protocol.redaction import Shown
from kling_effects_async.protocol.services import Service
from kling_effects_async.settings import Credentials
from kling_effects_async.transport.auth import Signer, signing
from kling_effects_async.transport.border import frameless
from kling_effects_async.transport.clock import Clock
from kling_effects_async.transport.proxies import Proxies
from kling_effects_async.transport.retrying import load as load_backoff
from kling_effects_async.transport.retrying import retrying
from kling_effects_async.transport.unforeseen import class_and_position

if TYPE_CHECKING:
    import aiohttp
    import yarl

    from kling_effects_async.transport.failures import Failures
    from kling_effects_async.transport.upload import Base64JsonPayload

__all__ = ["Session"]

T = TypeVar("T")

# A page of 500 tasks with two signed URLs each is about 1 MiB; four times that is somebody's
# mistake or attack, and a compressed bomb ends here too.
_REPLY_LIMIT_BYTES = 4 * 2**20
_CONNECTIONS = 100  # measured: 20 to 100 kept-alive connections carry more than 1,000 do
# Of these, so many are for queries alone: no query waits behind thousands of queued submits.
_FOR_QUERIES = 32


class Session:
    """Sends requests to one service with one pair of credentials.

    Args:
        proxies: the way to the service.
        borrowed: the caller's own aiohttp session; it is used and never closed.
        rng: a source of numbers in [0, 1), for the pauses between tries.
        on_retry: called with each error after which a request is sent again.
    """

    def __init__(
        self,
        service: Service,
        credentials: Credentials,
        *,
        retry: RetryPolicy,
        clock: Clock,
        rng: Callable[[], float],
        proxies: Proxies | None = None,
        borrowed: aiohttp.ClientSession | None = None,
        on_retry: Callable[[KlingEffectsError], None] = NOBODY.retried,
    ) -> None:
        self._on_retry = on_retry
        self._service = service
        self._proxy = (proxies or Proxies()).proxy_for(service.base_url)
        self._signer = Signer(credentials, clock)
        self._retry = retry
        self._clock = clock
        self._rng = rng
        self._http = borrowed
        self._owns_http = borrowed is None
        self._is_closed = False
        proxied = self._proxy.secrets if self._proxy is not None else ()
        self._secrets: tuple[str, ...] = (*astuple(credentials), *proxied)
        self._shown = Shown(self._secrets)
        # The wait for a connection is ours, so no limit of a request may count it.
        self._for_submits = asyncio.Semaphore(_CONNECTIONS - _FOR_QUERIES)
        self._for_queries = asyncio.Semaphore(_FOR_QUERIES)

    def load(self) -> None:
        """Import what a request and its failure need; later no descriptor may be free for that."""
        load_backoff()
        _ = self._failures

    def hide(self, secret: str) -> None:
        """Cut this out too, like the key, wherever the service repeats it."""
        self._secrets = (*self._secrets, secret)
        self._shown = Shown(self._secrets)

    def harmless(self, task: TaskSnapshot) -> TaskSnapshot:
        """The task, which came by another way than an answer, with nothing secret in its texts."""
        return self._shown.value(task)

    async def aclose(self) -> None:
        """Close the connections, unless the aiohttp session was the caller's."""
        self._is_closed = True
        if self._owns_http and self._http is not None:
            http, self._http = self._http, None
            await http.close()

    async def send(
        self,
        request: Request,
        read: Callable[[Reply], T],
        *,
        final: tuple[type[KlingEffectsError], ...] = (),
    ) -> T:
        """Send a repeatable request until an answer can be read, within the policy's bounds.

        Args:
            final: errors that are an answer, and no reason to try again.

        Raises:
            TransportError, ReplyError, ApiError: the last try's.
        """
        if not request.is_repeatable:
            raise ValueError(f"{request.method} {request.path} must not be repeated blindly")

        async def attempt() -> T:
            return await self.send_once(request, read)

        return await retrying(attempt, self._retry, self._clock, self._rng, final, self._on_retry)()

    async def send_once(self, request: Request, read: Callable[[Reply], T]) -> T:
        """Send a request once; a token rejected for its times is signed anew and sent again.

        Safe for every request: what was rejected for its token was not accepted.

        Raises:
            TransportError: no answer; ``sent`` is whether the server may have the request.
            ReplyError, ApiError: from ``read``.
        """
        return await frameless(self._send_once(request, read))

    async def _send_once(self, request: Request, read: Callable[[Reply], T]) -> T:
        reply = await self._reply_to(request)
        known_offset = self._signer.offset
        try:
            return self._read(reply, read)
        except AuthenticationError as error:
            if not (error.retryable and self._signer.adjust(reply.headers.get("date", ""))):
                raise
        try:
            return self._read(await self._reply_to(request), read)
        except AuthenticationError:
            self._signer.offset = known_offset  # the service's time did not help
            raise

    def _read(self, reply: Reply, read: Callable[[Reply], T]) -> T:
        """What was read of the answer, with nothing secret in what is shown of it."""
        try:
            return self._shown.value(_read(reply, read))
        except KlingEffectsError as error:
            rejected = self._shown.error(error)
        raise rejected

    async def _reply_to(self, request: Request) -> Reply:
        async with self._for_queries if request.is_repeatable else self._for_submits:
            outcome = await self._outcome(request)
        # Raised out here: aiohttp's exceptions carry the request's headers, and with them the
        # key, so they must not be the context of ours.
        if isinstance(outcome, KlingEffectsError):
            raise outcome
        return outcome

    async def _outcome(self, request: Request) -> Reply | KlingEffectsError:
        """The answer, or why there is none."""
        payload: Base64JsonPayload | None = None
        timeout_s = (
            self._retry.answer_timeout_s if request.is_repeatable else self._retry.submit_timeout_s
        )
        try:
            payload = _payload(request)
            return await self._exchange(request, payload, timeout_s)
        except KlingEffectsError as error:
            return error
        except Exception as error:  # delivered by ``_reply_to``, in our words
            if payload is not None and payload.rejection is not None:
                return payload.rejection  # it changed on the way; nothing whole was sent
            has_started = payload is not None and payload.has_started
            return self._failures.of(
                error, timeout_s, has_body=bool(request.body), has_started=has_started
            )

    async def _exchange(
        self, request: Request, payload: Base64JsonPayload | None, timeout_s: float
    ) -> Reply:
        http = self._session()
        async with (
            asyncio.timeout(timeout_s),  # aiohttp's sock_read begins anew with each byte
            http.request(
                request.method,
                _url(self._address_of(request)),
                data=payload,
                headers=self._headers(has_body=payload is not None),
                allow_redirects=False,  # aiohttp takes other headers than Authorization along
                raise_for_status=False,  # in aiohttp a broken answer is a "status 400" as well
                auto_decompress=True,
                timeout=self._connect_timeout,
                middlewares=signing(http, self._signer.authorization()),
                **self._way(),
            ) as response,
        ):
            return await self._receive(response)

    @cached_property
    def _failures(self) -> Failures:
        from kling_effects_async.transport.failures import Failures

        return Failures(self._service, self._proxy)

    @cached_property
    def _connect_timeout(self) -> aiohttp.ClientTimeout:
        import aiohttp

        return aiohttp.ClientTimeout(sock_connect=self._retry.connect_timeout_s)

    def _session(self) -> aiohttp.ClientSession:
        if self._is_closed:
            raise ClientClosedError(
                "this client was closed; `async with client:` opens it again, and attach() finds "
                "the task"
            )
        if not self._owns_http and self._http is not None:
            from kling_effects_async.transport.borrowed import check_borrowed

            check_borrowed(self._http)
        if self._http is None:
            import aiohttp

            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=_CONNECTIONS, ttl_dns_cache=300, keepalive_timeout=30
                ),
                cookie_jar=aiohttp.DummyCookieJar(),  # the key is all that identifies us
            )
        return self._http

    def _address_of(self, request: Request) -> str:
        query = f"?{urlencode(request.query)}" if request.query else ""
        return f"{self._service.base_url}{request.path}{query}"

    def _headers(self, *, has_body: bool) -> dict[str, str]:
        """The headers of a request, which replace a borrowed session's; the key comes last."""
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "User-Agent": "kling-effects-async",
        }
        if has_body:
            headers["Content-Type"] = "application/json"
        if self._proxy is not None and self._service.base_url.startswith("http://"):
            headers |= self._proxy.headers  # there is no CONNECT to carry them
        return headers

    def _way(self) -> dict[str, Any]:
        """The arguments of aiohttp for the proxy."""
        if self._proxy is None:
            return {}
        return {"proxy": self._proxy.url, "proxy_headers": self._proxy.headers}

    async def _receive(self, response: aiohttp.ClientResponse) -> Reply:
        if response.status == 407:  # no answer of a service: RFC 9110, 15.5.8
            raise self._failures.rejected_by_proxy(response.status)
        body = bytearray()
        # Not read(): a gzip bomb of 1 MB takes 2 GB of memory there, and 4 MiB here.
        while chunk := await response.content.readany():
            body += chunk
            if len(body) > _REPLY_LIMIT_BYTES:
                response.close()
                raise ReplyError(
                    f"an answer of more than {_REPLY_LIMIT_BYTES:,} bytes; the rest was not read",
                    http_status=response.status,
                )
        asked_to_wait = response.headers.get("retry-after")
        return Reply(
            status=response.status,
            headers=response.headers,
            body=bytes(body),
            retry_after_s=retry_after_seconds(asked_to_wait, self._clock.now()),
        )


def _read(reply: Reply, read: Callable[[Reply], T]) -> T:
    """``read(reply)``, whose own faults mean an answer that nobody can read."""
    try:
        return read(reply)
    except KlingEffectsError:
        raise
    except Exception as error:
        fault = class_and_position(error)
    # Raised out here: the fault's text may repeat the answer.
    raise ReplyError(
        f"an answer that cannot be read, by a fault that nobody foresaw: {fault}",
        http_status=reply.status,
    )


def _payload(request: Request) -> Base64JsonPayload | None:
    if not request.body:
        return None
    from kling_effects_async.transport.upload import Base64JsonPayload

    return Base64JsonPayload(request.body)


# A URL caches the parts it was taken into, so the few that are requested again and again are kept.
# Quoted already: yarl need not check every character.
@lru_cache(maxsize=256)
def _url(address: str) -> yarl.URL:
    import yarl

    return yarl.URL(address, encoded=True)
