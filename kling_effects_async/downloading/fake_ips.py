"""Resolvers that answer every name with an address of their own, and what such an answer is worth.

Clash, mihomo, sing-box, Surge and others hand out an address of a network that the internet does
not use, remember which name it stands for, and forward what is sent to it. To separate such an
answer from a stranger's name that leads inside, a name is resolved that nobody has registered: only
a resolver of this kind has an answer for it, and then that whole network is the resolver's own.

Source: Clash and mihomo, ``fake-ip-range`` (198.18.0.1/16); sing-box, "Fake IP" (198.18.0.0/15 and
fc00::/18), seen 2026-11; RFC 2544 (198.18.0.0/15 is for benchmarks).
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver

__all__ = ["FakeIps"]

_NETWORKS = (IPv4Network("198.18.0.0/15"), IPv6Network("fc00::/18"))


class FakeIps:
    """Which answers of a resolver are made up; finds out when such an answer comes."""

    def __init__(self, names: AbstractResolver) -> None:
        self._names = names
        self._made_up: set[IPv4Network | IPv6Network] = set()

    async def without(
        self, addresses: Sequence[str], port: int, family: socket.AddressFamily
    ) -> list[str]:
        """The addresses that still have to be judged: all but those the resolver made up.

        What was once found to be made up is so for good. What was not is tried again at the
        next such answer, because a proxy may be started at any time.
        """
        if not _networks_of(addresses) <= self._made_up:
            self._made_up |= _networks_of(await self._answer_to_nobody(port, family))
        return [each for each in addresses if not _networks_of([each]) & self._made_up]

    async def _answer_to_nobody(self, port: int, family: socket.AddressFamily) -> list[str]:
        # Not below .invalid or .test: the usual lists of exceptions have those. A letter comes
        # first, because names that begin with a digit are taken for addresses by some.
        nobody = f"n{secrets.token_hex(16)}.com"
        try:
            return [each["host"] for each in await self._names.resolve(nobody, port, family)]
        except OSError:  # there is no such name, as there should not be
            return []


def _networks_of(addresses: Iterable[str]) -> set[IPv4Network | IPv6Network]:
    """The networks of such resolvers that the addresses are in."""
    return {network for address in addresses for network in _NETWORKS if _is_in(address, network)}


def _is_in(address: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(address) in network
    except ValueError:
        return False
