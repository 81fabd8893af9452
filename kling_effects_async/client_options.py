"""The optional arguments of ``EffectsClient`` but its service, for whoever passes them on."""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, TypedDict

from kling_effects_async.policy import PollPolicy, RetryPolicy, SlotPolicy, SubmitPolicy
from kling_effects_async.transport.clock import Clock

if TYPE_CHECKING:
    import aiohttp

    from kling_effects_async.journal.sqlite.journal import Journal

__all__ = ["ClientOptions"]


class ClientOptions(TypedDict, total=False):
    """See ``EffectsClient``, which explains each; a test compares the two."""

    journal: str | os.PathLike[str] | Journal | None
    account: str | None
    budget_units: Decimal | int | str | None
    poll: PollPolicy | None
    retry: RetryPolicy | None
    slots: SlotPolicy | None
    submit: SubmitPolicy | None
    session: aiohttp.ClientSession | None
    proxy: str | None
    trust_env: bool
    clock: Clock | None
    rng: Callable[[], float]
