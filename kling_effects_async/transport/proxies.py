"""Which proxy a request goes through, if any.

- A proxy that the caller names is used for every host.
- The environment names one for each scheme, and in ``NO_PROXY`` the hosts that are reached without.
- A proxy of the environment is never used for this machine itself, whose ports only it can reach.

Pure: the environment is handed in and read once.

Source: curl's manual, "Environment" and "--noproxy" (the names, lower case before upper case, http
where no scheme is named, networks); Go's ``httpproxy`` package (loopback); CVE-2016-5385 (in CGI,
``HTTP_PROXY`` is a header of the visitor's).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from types import MappingProxyType
from urllib.parse import SplitResult, unquote, urlsplit

from attrs import field, frozen

from kling_effects_async.errors import SettingsError

__all__ = ["Proxies", "Proxy"]

_SCHEMES = ("http", "https")
_FEWEST = 6
_HOW = "name it as http://host:port or http://user:password@host:port"


@frozen
class Proxy:
    """A proxy that speaks HTTP.

    Attributes:
        url: where it is; without user and password.
        authorization: the header with the user and password; ``None`` if nothing.
    """

    url: str
    authorization: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.url

    @property
    def headers(self) -> dict[str, str]:
        """The headers for the proxy alone."""
        return {} if self.authorization is None else {"Proxy-Authorization": self.authorization}

    @property
    def secrets(self) -> tuple[str, ...]:
        """What nobody else may see: the header, what it carries, and the password alone."""
        if self.authorization is None:
            return ()
        carried = self.authorization.removeprefix("Basic ")
        password = base64.b64decode(carried).decode().partition(":")[2]
        is_told = len(password) >= _FEWEST  # a shorter one is in many words
        return (self.authorization, carried, *([password] if is_told else ()))

    @classmethod
    def parse(cls, text: str, name: str) -> Proxy:
        """Read ``http://user:password@host:port``.

        Args:
            name: what the text is called in the error, which does not repeat it.

        Raises:
            SettingsError: it names no proxy, or one of a kind that cannot be used.
        """
        how = _HOW if name == "proxy" else f"{_HOW}, or put the host into NO_PROXY"
        try:
            parts = urlsplit(text.strip())
            port = parts.port
            authorization = _basic(parts)
        except (ValueError, AttributeError, TypeError):  # also text that is no text
            raise SettingsError(f"{name} is no address of a proxy: {how}") from None
        if parts.scheme not in _SCHEMES:
            kind = f"a {parts.scheme} proxy" if parts.scheme.startswith("socks") else "no proxy"
            raise SettingsError(f"{name} names {kind}; only http proxies can be used: {how}")
        host = parts.hostname
        if not host or port == 0 or not _is_bare(host):
            raise SettingsError(f"{name} names no host: {how}")
        shown = f"[{host}]" if ":" in host else host
        return cls(f"{parts.scheme}://{shown}{f':{port}' if port else ''}", authorization)


def _is_bare(host: str) -> bool:
    return host.isprintable() and not set(host) & set(" \"'<>\\^`{|}")


def _basic(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


@frozen(kw_only=True)
class Proxies:
    """The proxies of one client; without arguments there are none.

    Attributes:
        texts: for each scheme of a request, where a proxy was named and how.
        direct: hosts, domains and networks that are reached without, as in ``NO_PROXY``.
        is_chosen: the caller named the proxy, so that it is used for this machine as well.
    """

    texts: Mapping[str, tuple[str, str]] = field(default=MappingProxyType({}), repr=False)
    direct: tuple[str, ...] = ()
    is_chosen: bool = False

    @classmethod
    def of(cls, proxy: str | None, environ: Mapping[str, str]) -> Proxies:
        """The caller's proxy, or else those that the environment names.

        Args:
            environ: empty where the environment is not to be trusted.

        Raises:
            SettingsError: ``proxy`` names none.
        """
        direct = _named(environ, "no_proxy")
        hosts = tuple(direct[1].replace(",", " ").split()) if direct else ()
        if proxy is not None:
            Proxy.parse(proxy, "proxy")
            texts = dict.fromkeys(_SCHEMES, ("proxy", proxy))
            return cls(texts=texts, direct=hosts, is_chosen=True)
        found = {scheme: _of_scheme(environ, scheme) for scheme in _SCHEMES}
        return cls(texts={k: v for k, v in found.items() if v is not None}, direct=hosts)

    def proxy_for(self, url: str) -> Proxy | None:
        """The proxy for a request to this address; ``None``: it goes straight to its host.

        Raises:
            SettingsError: the environment names one that cannot be used; names the variable.
        """
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        if parts.scheme not in self.texts or any(
            _covers(entry, host, port) for entry in self.direct
        ):
            return None
        if not self.is_chosen and _is_this_machine(host):
            return None
        name, text = self.texts[parts.scheme]
        return Proxy.parse(text if "://" in text or self.is_chosen else f"http://{text}", name)


def _named(environ: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """The variable and its value; an empty one says that there is none."""
    names = [name, name.upper()]
    if name == "http_proxy" and "REQUEST_METHOD" in environ:
        names.pop()
    for each in names:
        if each in environ:
            value = environ[each].strip()
            return (each, value) if value else None
    return None


def _of_scheme(environ: Mapping[str, str], scheme: str) -> tuple[str, str] | None:
    return _named(environ, f"{scheme}_proxy") or _named(environ, "all_proxy")


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of ``NO_PROXY`` means this host."""
    if entry == "*":
        return True
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:  # names
        pass
    name, _, wanted_port = entry.lower().rpartition(":")
    if not name or not wanted_port.isdecimal():
        name, wanted_port = entry.lower(), ""
    name = name.strip("[]").removeprefix("*").strip(".")
    is_named = host == name or host.endswith(f".{name}")
    return bool(name) and is_named and wanted_port in ("", str(port))


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
