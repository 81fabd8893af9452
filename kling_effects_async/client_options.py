"""The arguments of ``EffectsClient``: what each must be, and a type for passing them on."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypedDict

from kling_effects_async.arguments import Kind, check_arguments, check_name
from kling_effects_async.errors import SettingsError
from kling_effects_async.events import Event
from kling_effects_async.policy import (
    PollPolicy,
    RetryPolicy,
    SharePolicy,
    SlotPolicy,
    SubmitPolicy,
)
from kling_effects_async.protocol.services import Service
from kling_effects_async.settings import AccessKeys, BearerToken
from kling_effects_async.transport.clock import Clock

if TYPE_CHECKING:
    import aiohttp

    from kling_effects_async.callbacks.receiver import CallbackReceiver
    from kling_effects_async.journal.sqlite.journal import Journal
    from kling_effects_async.telemetry.providers import Telemetry

__all__ = ["ClientOptions", "check_options"]


class ClientOptions(TypedDict, total=False):
    """The optional arguments of ``EffectsClient``, which explains each, without its service.

    For a function that passes them on: ``def my_client(**options: Unpack[ClientOptions])``.
    """

    journal: str | os.PathLike[str] | Journal | None
    account: str | None
    budget_units: Decimal | int | str | None
    poll: PollPolicy | None
    retry: RetryPolicy | None
    slots: SlotPolicy | None
    shares: SharePolicy | None
    submit: SubmitPolicy | None
    session: aiohttp.ClientSession | None
    proxy: str | None
    trust_env: bool
    on_event: Callable[[Event], object] | None
    telemetry: Telemetry | None
    callbacks: CallbackReceiver | None
    clock: Clock | None
    rng: Callable[[], float]


_PATH = (str, os.PathLike)
# To import aiohttp takes as long as all of this package, and Journal needs sqlite3: so their
# instances are recognised by attributes.
_KINDS = {
    "credentials": Kind(
        "a BearerToken(...) or AccessKeys(...)", (BearerToken, AccessKeys), is_optional=False
    ),
    "service": Kind("a Service such as Service.gateway(url)", (Service,)),
    "journal": Kind("a path (a str or os.PathLike) or a Journal", _PATH, ("jobs", "history")),
    "account": Kind("a str", (str,)),
    "poll": Kind("a PollPolicy(...)", (PollPolicy,)),
    "retry": Kind("a RetryPolicy(...)", (RetryPolicy,)),
    "slots": Kind("a SlotPolicy(...)", (SlotPolicy,)),
    "shares": Kind("a SharePolicy(...)", (SharePolicy,)),
    "submit": Kind("a SubmitPolicy(...)", (SubmitPolicy,)),
    "session": Kind("an aiohttp.ClientSession", has=("request", "closed", "headers")),
    "proxy": Kind("a str such as 'http://host:port'", (str,)),
    "trust_env": Kind("True or False", (bool,), is_optional=False),
    "telemetry": Kind("a Telemetry()", has=("observer",)),
    "on_event": Kind("a plain function of one Event", has=("__call__",)),
    "callbacks": Kind("a CallbackReceiver(...)", has=("receive", "subscribe", "public_url")),
    "clock": Kind("a Clock", has=("monotonic", "now", "call_at")),
    "rng": Kind("a function that returns numbers in [0, 1)", has=("__call__",), is_optional=False),
}


def check_options(given: Mapping[str, Any]) -> None:
    """Reject an argument of ``EffectsClient`` that would fail later, once something is paid.

    Args:
        given: the arguments by their names; other names are ignored.

    Raises:
        TypeError: an argument is of a wrong type.
        SettingsError: ``account`` cannot be written to a file, or ``journal`` names none.
    """
    check_arguments(_KINDS, given)
    check_name("account", given["account"])
    _check_listener(given["on_event"])
    _check_journal(given["journal"])


def _check_listener(on_event: object) -> None:
    """Reject a coroutine function, whose coroutines nobody would await."""
    if inspect.iscoroutinefunction(on_event):
        raise TypeError(
            "on_event must be a plain function of one Event, not a coroutine function: iterate "
            "over client.events() instead"
        )


def _check_journal(journal: object) -> None:
    """Reject what SQLite would take for a temporary file, which is gone once it is closed."""
    path = os.fspath(journal) if isinstance(journal, _PATH) else None
    if isinstance(path, bytes):
        raise TypeError("journal must be a path of text, not of bytes")
    if path == "":
        raise SettingsError("journal must name a file; without one leave it out")
