"""An aiohttp session that knows nobody's secrets and reaches public addresses only.

Redirects are followed by hand, because each hop has to pass the rule; names are checked in the
resolver that feeds the connector, because a name checked earlier can resolve to something else by
the time it is used.
"""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import (
    ClientConnectorCertificateError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
    ThreadedResolver,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from kling_effects_async.errors import DownloadError
from kling_effects_async.transport.addresses import AddressRule
from kling_effects_async.transport.video_reply import TryAgainError

__all__ = ["CheckedResolver", "following", "open_session", "parse"]

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SENDABLE = re.compile(r"[!-~]+")  # visible ASCII: neither a space nor a line break


class CheckedResolver(AbstractResolver):
    """Resolves names, and refuses those that do not lead to public addresses."""

    def __init__(self, rule: AddressRule, names: AbstractResolver | None = None) -> None:
        self._rule = rule
        self._names = names or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._names.resolve(host, port, family)
        self._rule.check_resolved(host, port, (each["host"] for each in found))
        return found

    async def close(self) -> None:
        await self._names.close()


def open_session(rule: AddressRule, *, read_bufsize: int) -> ClientSession:
    """A session without cookies, credentials, proxies or limits of its own; close it.

    It has no deadline: a slow download is fine as long as it moves. Bodies come as they were sent,
    so that their length is the one announced.
    """
    return ClientSession(
        connector=TCPConnector(
            resolver=CheckedResolver(rule),
            use_dns_cache=False,  # few connections are made, and a cache outlives a cancelled wait
            limit=0,
        ),
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(total=None, sock_connect=10),
        read_bufsize=read_bufsize,
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
        trust_env=False,
    )


def parse(address: str) -> URL:
    """The address, letter for letter: a signature is made over the spelling too.

    Raises:
        DownloadError: it is no address; does not repeat it.
    """
    try:
        return URL(address, encoded=_SENDABLE.fullmatch(address) is not None)
    except ValueError:
        raise DownloadError("the video's address is malformed") from None


@asynccontextmanager
async def following(
    session: ClientSession, url: URL, rule: AddressRule, headers: Mapping[str, str]
) -> AsyncIterator[ClientResponse]:
    """The first answer that is no redirect; its body may be read in the block.

    Raises:
        DownloadError: a hop may not be used, or there are too many; nothing was sent to it.
        TryAgainError: the network failed, here or in the block. Told in our words: aiohttp's can
            carry the signed address.
    """
    try:
        for _ in range(MAX_REDIRECTS + 1):
            rule.check(url)
            async with session.get(url, headers=headers, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    yield response
                    return
                url = _next_hop(url, response.headers.get("Location"))
    except ClientConnectorCertificateError as error:
        raise DownloadError(f"the certificate of {error.host} is not to be trusted") from None
    except ClientError as error:
        raise TryAgainError(f"the connection broke ({type(error).__name__})") from None
    raise DownloadError(f"more than {MAX_REDIRECTS} redirects, the last one to {url.raw_host}")


def _next_hop(url: URL, location: str | None) -> URL:
    if not location:
        raise DownloadError(f"{url.raw_host} redirects without saying where to")
    return url.join(parse(location))
