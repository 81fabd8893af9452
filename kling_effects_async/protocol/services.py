"""Services, and their dialects, as frozen values.

A dialect says which fields a create body has. It never decides how an answer is read.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from attrs import Attribute, evolve, field, frozen

from kling_effects_async.arguments import Kind, check_arguments
from kling_effects_async.errors import SettingsError
from kling_effects_async.web_address import address_problem, canonical, tidied

__all__ = ["GATEWAY", "OFFICIAL", "SERVICE_NAMES", "Dialect", "InputFields", "Service"]

# Source: Kling API platform notes, 2026-09-20 (servers outside China, servers in mainland China).
_OFFICIAL_HOSTS = {
    "singapore": "https://api-singapore.klingai.com",
    "beijing": "https://api-beijing.klingai.com",
}

_KLING_DOMAINS = (".klingai.com", ".kling.ai")

# What ``Service.named`` takes besides addresses.
SERVICE_NAMES = ("vapi", *_OFFICIAL_HOSTS)
_OFFICIAL_AT = "official:"

_EXAMPLE = "such as https://gateway.example"
_KINDS = {
    "name": Kind("a str", (str,), is_optional=False),
    "base_url": Kind(f"a str {_EXAMPLE}", (str,), is_optional=False),
}
# What no URL holds. Source: RFC 3986, 2.
_NEVER_IN_URLS = re.compile(r"[\"<>\\^`{|}]|%(?![0-9A-Fa-f]{2})")
# A name of the DNS, underscores included, which containers have. Source: RFC 1035, 2.3.4 (63).
_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")


@frozen(kw_only=True)
class InputFields:
    """The members of ``input`` besides the images, and their values, the default first.

    An empty tuple means that the dialect has no such member.

    Attributes:
        sends_defaults: a member that the effect leaves open is sent with its default; otherwise it
            is left out, for the service to choose.
    """

    model_names: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    durations_s: tuple[int, ...] = ()
    sends_defaults: bool = True


@frozen(kw_only=True)
class Dialect:
    """What a service wants in a create body, for one image and for two."""

    name: str
    single: InputFields
    dual: InputFields

    def without_defaults(self) -> Dialect:
        """The same dialect, where only what an effect names itself is sent."""
        single, dual = (evolve(each, sends_defaults=False) for each in (self.single, self.dual))
        return evolve(self, single=single, dual=dual)


# Source: the gateway's pages "video effects, single" and "video effects, dual", 2026-09. Of the
# three models of the dual scenes the newest comes first, as the single scenes know no other.
GATEWAY = Dialect(
    name="gateway",
    single=InputFields(model_names=("kling-v1-6",), durations_s=(5,)),
    dual=InputFields(
        model_names=("kling-v1-6", "kling-v1-5", "kling-v1"),
        modes=("std", "pro"),
        durations_s=(5, 10),
    ),
)

# Source: Kling's effects page, 2026-09: model_name, mode and duration no longer exist.
OFFICIAL = Dialect(name="official", single=InputFields(), dual=InputFields())


def _one_spelling(url: str) -> str:
    """The journal compares services by their addresses, so each has one spelling alone.

    The path counts: a proxy may serve different services under different paths of one host.
    """
    check_arguments(_KINDS, {"base_url": url})
    return canonical(tidied(url))


def _is_name(_service: object, attribute: Attribute[str], name: str) -> None:
    check_arguments(_KINDS, {"name": name})


def _url_problem(url: str) -> str | None:
    problem = address_problem(url)
    if problem is not None:
        return problem
    odd = _NEVER_IN_URLS.search(url)
    if odd:
        return f"It holds the character {odd[0]!a}; percent-encode it, or leave it out."
    parts = urlsplit(url)
    host = parts.hostname or ""
    if "[" not in parts.netloc and not _HOST_NAME.fullmatch(host):
        return "Its host cannot be one; check the part before the path."
    has_dots = not {".", ".."}.isdisjoint(parts.path.split("/"))
    return "Its path goes up or stays: write it without . and .." if has_dots else None


def _is_base_url(service: Service, _attribute: Attribute[str], url: str) -> None:
    problem = _url_problem(url)
    if problem is not None:
        raise SettingsError(f"base_url must be an http(s) URL with a host, {_EXAMPLE}. {problem}")
    parts = urlsplit(url)
    host = parts.hostname or ""
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise SettingsError("base_url must be bare: no user name, password, query or fragment")
    if parts.path.endswith("/videos/effects"):
        raise SettingsError(
            "base_url is what comes before /kling/v1/videos/effects: leave that out"
        )
    if parts.scheme == "http" and not (service.allow_plain_http or _is_loopback(host)):
        raise SettingsError(
            f"http://{host} would carry the key in clear text: use https, "
            "or allow_plain_http=True inside a network you trust"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@frozen(kw_only=True)
class Service:
    """A server that speaks the effects API.

    Attributes:
        base_url: what comes before the paths of the API, in one spelling: ``https://GW.example:443/``
            is read as ``https://gw.example``.
        finds_external_ids: whether a query by ``external_task_id`` is answered; ``None`` where
            the documents contradict each other, so that it has to be seen.
        lists_tasks: whether there is a list of tasks; ``None`` as above.
        allow_plain_http: the key may travel unencrypted to a host that is not this machine.
    """

    name: str = field(validator=_is_name)
    allow_plain_http: bool = field(default=False, repr=False)
    base_url: str = field(converter=_one_spelling, validator=_is_base_url)
    effects_path: str
    dialect: Dialect
    finds_external_ids: bool | None = None
    lists_tasks: bool | None = None

    @property
    def is_kling(self) -> bool:
        """It is Kling itself, in its own dialect or at one of its own hosts."""
        host = urlsplit(self.base_url).hostname or ""
        return self.dialect.name == OFFICIAL.name or host.endswith(_KLING_DOMAINS)

    @classmethod
    def named(cls, text: str) -> Service:
        """The service that a setting names: one of ``SERVICE_NAMES``, or a gateway's base URL.

        ``official:URL`` is Kling's own dialect at another address, such as an emulator's.

        Raises:
            SettingsError: it names none; says what would.
            TypeError: it is no ``str``.
        """
        check_arguments(_KINDS, {"name": text})
        name = tidied(text)
        folded = name.lower()
        if folded == "vapi":
            return cls.vapi()
        if folded in _OFFICIAL_HOSTS:
            return cls.official(folded)
        if folded.startswith(_OFFICIAL_AT):
            return cls.official(base_url=name[len(_OFFICIAL_AT) :])
        if folded.startswith(("https://", "http://")):
            return cls.gateway(name)
        raise SettingsError(
            f"a service must be {', '.join(SERVICE_NAMES)} or a gateway's base URL; "
            "this is none of them"
        )

    @classmethod
    def vapi(cls) -> Service:
        """V-API, the gateway of ``https://api.gpt.ge``.

        Source: its page on single effects (create); its page on queries (paths).
        """
        return cls.gateway("https://api.gpt.ge", name="vapi")

    @classmethod
    def gateway(
        cls,
        base_url: str,
        *,
        name: str = "gateway",
        sends_defaults: bool = True,
        allow_plain_http: bool = False,
    ) -> Service:
        """Any gateway that has the paths and the create body of V-API.

        Args:
            sends_defaults: ``model_name``, ``mode`` and ``duration`` are sent with V-API's defaults
                where an effect leaves them open, because V-API demands them. ``False``: they are
                left out, for a gateway that does not know ``kling-v1-6``, or wants none of them.

        Source: V-API's effects pages, 2026-09; CometAPI, 2026, which takes ``hug`` without them.

        Raises:
            SettingsError: ``base_url`` is no bare http(s) URL, or would send the key in clear text.
        """
        return cls(
            name=name,
            base_url=base_url,
            effects_path="/kling/v1/videos/effects",
            dialect=GATEWAY if sends_defaults else GATEWAY.without_defaults(),
            allow_plain_http=allow_plain_http,
        )

    @classmethod
    def official(cls, region: str = "singapore", *, base_url: str | None = None) -> Service:
        """Kling itself: ``"singapore"`` outside mainland China, ``"beijing"`` inside.

        ``base_url`` replaces the region's host, for a proxy or an emulator.

        Raises:
            SettingsError: the region is neither of the two.

        Source: Kling's effects page, 2026-09 (the query takes either id; there is a list).
        """
        if base_url is None and region not in _OFFICIAL_HOSTS:
            regions = " or ".join(repr(name) for name in _OFFICIAL_HOSTS)
            raise SettingsError(f"unknown region {region!r}: use {regions}")
        return cls(
            name=f"official-{region}",
            base_url=_OFFICIAL_HOSTS[region] if base_url is None else base_url,
            # A legacy path, with "no current plans for deprecation". Source: Kling's API, 2026-07.
            effects_path="/v1/videos/effects",
            dialect=OFFICIAL,
            finds_external_ids=True,
            lists_tasks=True,
        )
