"""Where a video may be fetched from: over TLS, from a public address, and nowhere else.

The address of a video, and of each redirect on the way to it, is a stranger's word. Followed
blindly it reaches what only this machine can reach: routers, databases, a cloud's metadata. So

- the scheme is https and the port 443, without a user or password;
- a numeric host is public, and so is every address a name resolves to;
- a name that a proxy will resolve is none of those that lead inside by convention;
- the one exception is the origin that the caller has chosen as the service, such as an emulator's
  ``http://127.0.0.1:8787`` or a gateway's ``https://gateway.corp.example:8443``.

Source: RFC 6890 and the IANA special-purpose registries (what is public), RFC 4291, 3056 and 6052
(IPv4 inside IPv6).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from attrs import field, frozen
from yarl import URL

from kling_effects_async.errors import DownloadError, SettingsError

__all__ = ["AddressRule", "is_public"]

HTTPS_PORT = 443
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # all that IANA has given out for the open internet

# Names that mean this machine or this network wherever they are resolved. Source: RFC 6761
# (localhost), 6762 (local; appendix G: what private networks use), 8375 (home.arpa), and ICANN's
# resolution of 2024-07-29 (internal).
_INSIDE = frozenset(
    "localhost localdomain local internal intranet private corp home lan home.arpa".split()
)
_NAT64 = IPv6Network("64:ff9b::/96")  # how an IPv6-only network reaches IPv4 servers


def is_public(address: str) -> bool:
    """Whether a numeric address belongs to the open internet.

    IPv4 inside IPv6 is judged as the IPv4 address that the packets end up at.
    """
    try:
        ip = _destination(ip_address(address))
    except ValueError:
        return False
    if isinstance(ip, IPv4Address):
        return ip.is_global and not ip.is_multicast and not ip.is_reserved
    return ip in _GLOBAL_UNICAST and ip.is_global


def _destination(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def _origin(origin: str | None) -> tuple[str, str, int] | None:
    if origin is None:
        return None
    try:
        url = URL(origin)
        found = url.scheme, (url.raw_host or "").lower(), url.port or 0
    except ValueError:
        found = "", "", 0
    if found[0] not in ("http", "https") or not all(found):
        raise SettingsError("allowed_origin must look like http://127.0.0.1:8787")
    return found


@frozen
class AddressRule:
    """Which addresses a video may be fetched from.

    Attributes:
        allowed_origin: scheme, host and port that may be used without TLS, on any port and
            wherever it leads; ``None`` for no such origin. Built from text such as
            ``http://127.0.0.1:8787``.
    """

    allowed_origin: tuple[str, str, int] | None = field(converter=_origin)

    def check(self, url: URL) -> None:
        """Check an address before anything is sent; names are checked once they resolve.

        Raises:
            DownloadError: it may not be used; names the host alone.
        """
        host = (url.raw_host or "").lower()
        if "@" in url.raw_authority:
            raise DownloadError("the video's address carries a user or password; not used")
        if self._is_allowed(url):
            return
        if url.scheme != "https" or not host:
            raise DownloadError(f"{url.scheme}://{host} is not https; the video is not fetched")
        if url.port != HTTPS_PORT:
            raise DownloadError(f"{host} is named with port {url.port}; only {HTTPS_PORT} is used")
        if _is_numeric(host):
            self.check_resolved(host, HTTPS_PORT, [host])

    def check_unresolved(self, url: URL) -> None:
        """Check a name that somebody else will resolve: a proxy.

        Raises:
            DownloadError: it means this machine or this network by convention.
        """
        host = (url.raw_host or "").lower().rstrip(".")
        if self._is_allowed(url) or _is_numeric(host):
            return
        labels = host.split(".")
        if len(labels) == 1 or labels[-1] in _INSIDE or ".".join(labels[-2:]) in _INSIDE:
            raise DownloadError(f"{host} is a name of this machine or network; not used")

    def _is_allowed(self, url: URL) -> bool:
        return (url.scheme, (url.raw_host or "").lower(), url.port) == self.allowed_origin

    def check_resolved(self, host: str, port: int, addresses: Iterable[str]) -> None:
        """Check what a name resolves to, at the moment it is connected to.

        One address that is not public condemns the name: an honest name has none.

        Raises:
            DownloadError: an address is not public.
        """
        if self.allowed_origin and (host.lower(), port) == self.allowed_origin[1:]:
            return
        for address in addresses:
            if not is_public(address):
                raise DownloadError(f"{host} leads to {address}, which is no public address")


def _is_numeric(host: str) -> bool:
    # Also forms such as 127.1, 2130706433 or 127.0.0.0x1, which `socket` and proxies would read as
    # addresses. No real top-level domain is a number, so these are rejected like an address that is
    # not public.
    last = host.rstrip(".").rpartition(".")[2]
    return ":" in host or last.isdigit() or last.startswith("0x")
