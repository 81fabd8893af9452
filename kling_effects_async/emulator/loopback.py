"""What belongs to this machine: addresses that no other machine can be reached at."""

from __future__ import annotations

import ipaddress

from yarl import URL

__all__ = ["is_loopback", "is_loopback_url"]


def is_loopback(host: str) -> bool:
    """Whether a name or an IP address, without brackets, is this machine's own."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    """Whether it is a plain http address of this machine."""
    try:
        parsed = URL(url)
    except ValueError:
        return False
    return parsed.scheme == "http" and parsed.host is not None and is_loopback(parsed.host)
