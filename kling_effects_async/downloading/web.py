"""An HTTP client without secrets, which reaches public addresses only.

Redirects are followed by hand, because each hop has to pass the rule; names are checked in the
resolver that feeds the connector, because a name checked earlier can resolve to something else by
the time it is used.

Where a proxy is used, it resolves the names. So what leads inside by its spelling is rejected
before the proxy gets it, and every connection of that session goes to the proxy, wherever it
is. What a name leads to is the proxy's to judge; a server inside has no certificate for a
stranger's name.
"""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import (
    ClientConnectorCertificateError,
    ClientError,
    ClientHttpProxyError,
    ClientProxyConnectionError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    StreamReader,
    TCPConnector,
    ThreadedResolver,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from kling_effects_async.downloading.addresses import AddressRule
from kling_effects_async.downloading.fake_ips import FakeIps
from kling_effects_async.downloading.reply import TryAgainError
from kling_effects_async.errors import DownloadError, KlingEffectsError
from kling_effects_async.transport.proxies import Proxies, Proxy
from kling_effects_async.transport.unforeseen import class_and_position

__all__ = ["CheckedResolver", "PublicWeb", "open_session", "parse", "read_chunk"]

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SENDABLE = re.compile(r"[!-~]+")  # visible ASCII: neither a space nor a line break
# Control characters and halves of characters (surrogates): left out or replaced in silence, they
# would make another address. A space is encoded.
_NEVER_INSIDE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# What no host has; sent to a resolver it would end as a line that broke.
_NEVER_IN_HOST = re.compile(r"[\s%<>\"\\^`{|}]")


class CheckedResolver(AbstractResolver):
    """Resolves names, and rejects those that do not lead to public addresses."""

    def __init__(self, rule: AddressRule, names: AbstractResolver | None = None) -> None:
        self._rule = rule
        self._names = names or ThreadedResolver()
        self._fakes = FakeIps(self._names)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        try:
            found = await self._names.resolve(host, port, family)
        except UnicodeError:  # a label that is empty or too long
            raise DownloadError(f"{host[:80]} is not the name of a host") from None
        addresses = await self._fakes.without([each["host"] for each in found], port, family)
        self._rule.check_resolved(host, port, addresses)
        return found

    async def close(self) -> None:
        await self._names.close()


def open_session(
    rule: AddressRule, *, read_bufsize: int, is_proxied: bool = False
) -> ClientSession:
    """A session without cookies, credentials, proxies or limits of its own; close it.

    It has no deadline: a slow download is fine as long as it moves. Bodies come as they were sent,
    so that their length is the one announced.

    Args:
        is_proxied: every request names a proxy, so that the only names to resolve are proxies'.
    """
    return ClientSession(
        connector=TCPConnector(
            resolver=ThreadedResolver() if is_proxied else CheckedResolver(rule),
            use_dns_cache=False,  # few connections are made, and a cache outlives a cancelled wait
            limit=0,  # the downloader counts
        ),
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(total=None, sock_connect=10),
        read_bufsize=read_bufsize,
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
        trust_env=False,
    )


def parse(address: str, *, is_whole: bool = True) -> URL:
    """The address, letter for letter: a signature is made over the spelling too.

    Args:
        is_whole: it has to name a host; a redirect need not.

    Raises:
        DownloadError: it is no address; says why, and does not repeat it.
    """
    if not isinstance(address, str):
        raise _malformed("it is no text")
    if odd := _NEVER_INSIDE.search(address):
        raise _malformed(f"it holds the character {odd[0]!a}")
    try:
        url = URL(address, encoded=_SENDABLE.fullmatch(address) is not None)
        _ = url.raw_host, url.port, url.raw_path_qs  # some versions read them only now
    except (ValueError, TypeError):
        raise _malformed("its host or its port cannot be read") from None
    if is_whole and not (url.scheme and url.raw_host):
        raise _malformed("it names no host")
    if _NEVER_IN_HOST.search(url.raw_host or ""):
        raise _malformed("its host is none")
    return url


def _malformed(why: str) -> DownloadError:
    return DownloadError(
        f"the video's address is malformed: {why}; get another one from its task: "
        "await client.attach(task_id).refresh()"
    )


class PublicWeb:
    """Requests videos, straight or by way of a proxy; close it.

    Args:
        read_bufsize: in bytes; how much of a body is buffered.
    """

    def __init__(self, rule: AddressRule, proxies: Proxies, *, read_bufsize: int) -> None:
        self._rule = rule
        self._proxies = proxies
        self._read_bufsize = read_bufsize
        self._sessions: dict[bool, ClientSession] = {}

    async def aclose(self) -> None:
        """Close the connections."""
        for session in self._sessions.values():
            await session.close()

    @asynccontextmanager
    async def following(
        self, url: URL, headers: Mapping[str, str]
    ) -> AsyncIterator[ClientResponse]:
        """The first answer that is no redirect; read its body in the block, by ``read_chunk``.

        Raises:
            DownloadError: a hop may not be used, or there are too many; nothing was sent to it.
            SettingsError: the environment names a proxy that cannot be used.
            TryAgainError: the network failed. Told in our words: aiohttp's can carry the signed
                address.
        """
        for _ in range(MAX_REDIRECTS + 1):
            async with await self._answer(url, headers) as response:
                if response.status not in _REDIRECTS:
                    yield response
                    return
                url = _next_hop(url, response.headers.get("Location"))
        raise DownloadError(f"more than {MAX_REDIRECTS} redirects, the last one to {url.raw_host}")

    async def _answer(self, url: URL, headers: Mapping[str, str]) -> ClientResponse:
        self._rule.check(url)
        proxy = self._proxies.proxy_for(str(url.origin()))
        if proxy is not None:
            self._rule.check_unresolved(url)
        try:
            return await self._get(url, headers, proxy)
        except (KlingEffectsError, TryAgainError):
            raise
        except Exception as error:
            failure = _failure(error, proxy)
        raise failure  # out here: aiohttp's exceptions must not become its context

    async def _get(
        self, url: URL, headers: Mapping[str, str], proxy: Proxy | None
    ) -> ClientResponse:
        session = self._session(is_proxied=proxy is not None)
        if proxy is None:
            return await session.get(url, headers=headers, allow_redirects=False)
        if url.scheme == "http":  # there is no CONNECT to carry them
            headers = {**headers, **proxy.headers}
        return await session.get(
            url,
            headers=headers,
            allow_redirects=False,
            proxy=proxy.url,
            proxy_headers=proxy.headers,
        )

    def _session(self, *, is_proxied: bool) -> ClientSession:
        if is_proxied not in self._sessions:
            self._sessions[is_proxied] = open_session(
                self._rule, read_bufsize=self._read_bufsize, is_proxied=is_proxied
            )
        return self._sessions[is_proxied]


async def read_chunk(response: ClientResponse, size_bytes: int) -> bytes:
    """Up to so many bytes of the body; empty at its end.

    Raises:
        TryAgainError: the connection broke, and all that had come before was read.
    """
    try:
        return await response.content.read(size_bytes)
    except Exception as error:
        if rest := _buffered(response.content, error):
            return rest
        failure = _failure(error, None)
    raise failure


def _buffered(content: StreamReader, error: Exception) -> bytes:
    """What had come before the connection broke, which aiohttp keeps and does not return.

    Without it a line that breaks before each chunk is full would never get on.
    """
    content.set_exception(None)  # type: ignore[arg-type]  # none, for one read
    try:
        return content.read_nowait()
    finally:
        content.set_exception(error)


def _failure(error: Exception, proxy: Proxy | None) -> DownloadError | TryAgainError:
    if isinstance(error, ClientConnectorCertificateError):
        return DownloadError(f"the certificate of {error.host} is not to be trusted")
    if isinstance(error, ClientHttpProxyError):
        reason = f"the proxy {proxy} rejects the way to the video (HTTP {error.status})"
        return TryAgainError(reason) if error.status >= 500 else DownloadError(reason)
    if isinstance(error, ClientProxyConnectionError):
        return TryAgainError(f"no connection to the proxy {proxy}")
    if isinstance(error, (ClientError, OSError)):
        return TryAgainError(f"the connection broke ({type(error).__name__})")
    return TryAgainError(f"a fault that nobody foresaw: {class_and_position(error)}")


def _next_hop(url: URL, location: str | None) -> URL:
    if not location:
        raise DownloadError(f"{url.raw_host} redirects without saying where to")
    try:
        return url.join(parse(location, is_whole=False))
    except ValueError:
        raise DownloadError(f"{url.raw_host} redirects to a malformed address") from None
