"""Credentials, and settings from a mapping or a TOML text, which the caller reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, TypeVar

from attrs import Attribute, astuple, field, frozen

from kling_effects_async.arguments import Kind, check_arguments, key_problem
from kling_effects_async.errors import SettingsError
from kling_effects_async.protocol.redaction import without_arguments
from kling_effects_async.protocol.services import Service

__all__ = ["AccessKeys", "BearerToken", "Credentials", "Settings", "check_receiver"]

# How Kling's own API keys begin. Source: public records of live calls, 2026.
_KLING_KEY = "api-key-kling-"

_SECRET = Kind("a str", (str,), is_optional=False)


def _hidden(_secret: str) -> str:
    return "'...'"


def _is_secret(_credentials: object, attribute: Attribute[str], value: str) -> None:
    name = attribute.name
    check_arguments({name: _SECRET}, {name: value})
    problem = key_problem(value)
    if problem is not None:
        raise SettingsError(f"{name} {problem}")


C = TypeVar("C")


def _hiding(credentials: type[C]) -> type[C]:
    """A key that is rejected, such as one with a line break, is not in a report's locals."""
    made = without_arguments(credentials.__init__)
    credentials.__init__ = made  # type: ignore[method-assign]  # the same, with other frames
    return credentials


@_hiding
@frozen
class BearerToken:
    """A plain key, sent as ``Authorization: Bearer``: a gateway's, or one of Kling's API keys.

    Its ``repr`` does not show it.

    Raises:
        TypeError: ``token`` is no ``str``.
        SettingsError: it cannot be a key; the message states what to copy.
    """

    token: str = field(repr=_hidden, validator=_is_secret)


@_hiding
@frozen
class AccessKeys:
    """Kling's pair of access key and secret key, with which each request signs a fresh token.

    Its ``repr`` shows neither.

    Raises:
        TypeError: a key is no ``str``.
        SettingsError: it cannot be a key; the message states what to copy.

    Source: Kling's page on authentication.
    """

    access_key: str = field(repr=_hidden, validator=_is_secret)
    secret_key: str = field(repr=_hidden, validator=_is_secret)


Credentials: TypeAlias = BearerToken | AccessKeys


@frozen
class Settings:
    """Credentials and the service that they are for.

    Without ``service``, a pair of access keys or an API key of Kling's own means Kling itself, and
    any other bearer token V-API.
    """

    credentials: Credentials
    service: Service

    @classmethod
    @without_arguments
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read ``KLING_API_KEY``, or ``KLING_ACCESS_KEY`` with ``KLING_SECRET_KEY``.

        ``KLING_SERVICE`` is ``vapi``, ``singapore``, ``beijing`` or a gateway's base URL.

        Raises:
            SettingsError: a key is missing, or is Kling's own and the service is not; the message
                names the variables.
        """
        return cls._from(environ, {name: f"KLING_{name.upper()}" for name in _NAMES})

    @classmethod
    @without_arguments
    def from_toml(cls, text: str) -> Settings:
        """Read ``api_key``, or ``access_key`` with ``secret_key``, and ``service`` of ``[kling]``.

        Other members are for the command line, and are left alone.

        Raises:
            SettingsError: it is no TOML, or a key is missing; the message names the members.
        """
        import tomllib  # most settings come from the environment

        try:
            table = tomllib.loads(text).get("kling", {})
        except tomllib.TOMLDecodeError:
            # Not the decoder's message, and not chained to it: it may quote the line with the key.
            raise SettingsError("the settings are not valid TOML") from None
        if not isinstance(table, dict):
            raise SettingsError("[kling] must be a table of texts")
        return cls.from_table(table)

    @classmethod
    @without_arguments
    def from_table(cls, table: Mapping[str, object]) -> Settings:
        """The same from one table of a file that was read already.

        Raises:
            SettingsError: a key is missing, or is no text; the message names the members.
        """
        given = {name: table[name] for name in _NAMES if name in table}
        if not all(isinstance(value, str) for value in given.values()):
            raise SettingsError(f"{', '.join(_NAMES)} must be texts")
        return cls._from({k: str(v) for k, v in given.items()}, {name: name for name in _NAMES})

    @classmethod
    def _from(cls, values: Mapping[str, str], names: Mapping[str, str]) -> Settings:
        given = {name: values.get(key, "") for name, key in names.items()}
        credentials = _credentials(given, names)
        service = _service(given["service"], credentials, names["service"])
        check_receiver(credentials, service)
        return cls(credentials, service)


_NAMES = ("api_key", "access_key", "secret_key", "service")


def default_service(credentials: Credentials) -> Service:
    """Kling itself for its own keys, V-API for any other bearer token."""
    return Service.official() if _is_klings(credentials) else Service.vapi()


def check_receiver(credentials: Credentials, service: Service) -> None:
    """Send a key of Kling's own to Kling alone.

    A pair of access keys may go to a gateway: what is sent is a token signed for half an hour. But
    the token contains the access key in clear text, so that must not be one of Kling's API keys
    either. Source: Kling's page on authentication (``iss``).

    Raises:
        SettingsError: the key is Kling's own, and the service is not Kling; the message states what
            to do.
    """
    if _has_klings_key(credentials) and not service.is_kling:
        raise SettingsError(
            f"this key ({_KLING_KEY}...) is one of Kling's own, and {service.name} "
            f"({service.base_url}) is not Kling: nothing was sent. Use the key of that service, "
            "or choose Kling itself as the service: singapore or beijing"
        )


def _is_klings(credentials: Credentials) -> bool:
    return isinstance(credentials, AccessKeys) or _has_klings_key(credentials)


def _has_klings_key(credentials: Credentials) -> bool:
    """In any part of it: a key may be pasted together with its variable's name."""
    return any(_KLING_KEY in secret.lower() for secret in astuple(credentials))


def _credentials(given: Mapping[str, str], names: Mapping[str, str]) -> Credentials:
    if given["access_key"] and given["secret_key"]:
        return AccessKeys(given["access_key"], given["secret_key"])
    if given["access_key"] or given["secret_key"]:
        missing = "secret_key" if given["access_key"] else "access_key"
        raise SettingsError(f"{names[missing]} is missing: the two keys only work together")
    if given["api_key"]:
        return BearerToken(given["api_key"])
    raise SettingsError(
        f"no key found: set {names['api_key']} for a gateway, "
        f"or {names['access_key']} and {names['secret_key']} for Kling itself"
    )


def _service(name: str, credentials: Credentials, variable: str) -> Service:
    if not name:
        return default_service(credentials)
    try:
        return Service.named(name)
    except SettingsError as error:
        raise SettingsError(f"{variable}: {error}") from None
