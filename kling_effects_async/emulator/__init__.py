"""Kling's paid video-effects service, stood in for on 127.0.0.1.

    async with Emulator(speed=600) as emulator, emulator.client() as client:
        result = await client.run(SingleImageEffect("squish", image=Path("cat.jpg")))

True to the documents: both dialects, real authentication, late failures, lists, callbacks, a limit
of parallel tasks. Where the documents are silent, a comment beside the code marks the choice. The
wire is written out by hand and shares no code with the client's, so that a mistake in one is seen
by the other. Names are loaded on first use: the command line reads ``bounds`` for its help and
needs no server for that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kling_effects_async.emulator.callback_faults import CallbackFault
    from kling_effects_async.emulator.choices import (
        CallbackShape,
        Clips,
        RepeatedId,
        ReplyShape,
        RetiredScenes,
        UnknownTask,
    )
    from kling_effects_async.emulator.errors import EmulatorError
    from kling_effects_async.emulator.faults import Fault
    from kling_effects_async.emulator.ledger import Ledger, LedgerEntry
    from kling_effects_async.emulator.sent_callbacks import SentCallback, SentCallbacks
    from kling_effects_async.emulator.server import Emulator

__all__ = [
    "CallbackFault",
    "CallbackShape",
    "Clips",
    "Emulator",
    "EmulatorError",
    "Fault",
    "Ledger",
    "LedgerEntry",
    "RepeatedId",
    "ReplyShape",
    "RetiredScenes",
    "SentCallback",
    "SentCallbacks",
    "UnknownTask",
]

_HOMES = {
    "CallbackFault": "callback_faults",
    "CallbackShape": "choices",
    "Clips": "choices",
    "Emulator": "server",
    "EmulatorError": "errors",
    "Fault": "faults",
    "Ledger": "ledger",
    "LedgerEntry": "ledger",
    "RepeatedId": "choices",
    "ReplyShape": "choices",
    "RetiredScenes": "choices",
    "SentCallback": "sent_callbacks",
    "SentCallbacks": "sent_callbacks",
    "UnknownTask": "choices",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return __all__
