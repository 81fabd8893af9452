"""An http(s) address as people paste it, for a request of ours or of the service.

Schemes are case-insensitive, and no address contains white space. Source: RFC 3986, 3.1 and 2.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from urllib.parse import quote, unquote, urlsplit

__all__ = ["address_label", "address_problem", "canonical", "tidied"]

_SCHEME = re.compile(r"https?://", re.IGNORECASE)
# What is copied along with an address: white space, and characters without a width.
_ENDS = re.compile(r"^[\s\u200b-\u200f\u2060\ufeff]+|[\s\u200b-\u200f\u2060\ufeff]+\Z")
# White space, control characters, and halves of characters (surrogates).
_NEVER_INSIDE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_USER_INFO = re.compile(r"(^|//)[^/]*@")  # to the last @, for some passwords contain one
_LABEL_MAX = 200  # characters, so that a message stays readable
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


def tidied(text: str) -> str:
    """The address without white space at its ends, its scheme in lower case."""
    bare = _ENDS.sub("", text)
    return _SCHEME.sub(lambda scheme: scheme[0].lower(), bare, count=1)


def canonical(address: str) -> str:
    """One spelling for every way to write the same address, without slashes at its end.

    Host in lower case and in ASCII, without a dot at its end; no default port; a path in which
    only what has to be is percent-encoded; no empty query. An address that cannot be parsed, or
    that has a user or a query, is returned unchanged.

    Source: RFC 3986, 6.2.2 and 6.2.3.
    """
    if address_problem(address) is not None:
        return address
    parts = urlsplit(address)
    if "@" in parts.netloc or parts.query or parts.fragment:
        return address
    try:
        host = _canonical_host(parts.hostname or "")
    except ValueError:  # the host is no name in any script
        return address
    is_default = parts.port in (None, _DEFAULT_PORTS[parts.scheme])
    port = "" if is_default else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{_canonical_path(parts.path)}".rstrip("/")


def address_problem(text: str) -> str | None:
    """Why this is no http(s) address, in one sentence with what to do; ``None`` if it is."""
    if not _SCHEME.match(text):
        return "It must be an http(s) URL, with http:// or https:// in front."
    odd = _NEVER_INSIDE.search(text)
    if odd:
        return f"It holds the character {odd[0]!a}; percent-encode it, or leave it out."
    try:
        return _host_problem(text)
    except ValueError:  # the text of this error could repeat a password, so ours is shown
        return "Its host or its port cannot be read; check the part before the path."


def address_label(text: str) -> str:
    """The address without user, password and signature, for a message; never raises."""
    bare = re.split(r"[?#]", text, maxsplit=1)[0]
    hidden = "?..." if len(bare) + 1 < len(text) else ""
    shown = _USER_INFO.sub(r"\1", bare, count=1)
    return f"{shown[:_LABEL_MAX]}{hidden}"


def _host_problem(text: str) -> str | None:
    """Raises ValueError where brackets or the port cannot be parsed."""
    parts = urlsplit(text)
    if not parts.hostname:
        return "It names no host."
    if "[" in parts.netloc:
        IPv6Address(parts.hostname)
    return "Its port is 0, and nobody listens there." if parts.port == 0 else None


def _canonical_host(host: str) -> str:
    if ":" in host:
        return f"[{IPv6Address(host)}]"
    if host.isascii():
        return host.removesuffix(".")
    from yarl import URL  # aiohttp encodes names with it, so it decides where a request goes

    return (URL(f"https://{host}").raw_host or "").removesuffix(".")


def _canonical_path(path: str) -> str:
    in_ascii = _NOT_ASCII.sub(lambda text: quote(text[0]), path)
    return _ENCODED.sub(_decoded, in_ascii)


def _decoded(encoded: re.Match[str]) -> str:
    pieces = re.findall("...", encoded[0].upper())
    return "".join(unquote(p) if _UNRESERVED.fullmatch(unquote(p)) else p for p in pieces)
