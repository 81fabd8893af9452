"""Kling's paid video-effects service, stood in for on 127.0.0.1.

    async with Emulator(speed=600) as emulator, emulator.client() as client:
        result = await client.run(SingleImageEffect("squish", image=Path("cat.jpg")))

True to the documents: both dialects, real authentication, late failures, lists, callbacks, a limit
of parallel tasks. Where the documents are silent the choice is told beside the code. It spells the
wire by hand and shares none of the client's wire code, so that a mistake in one is seen by the
other. Names are loaded on first use: a render worker imports this package and needs none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kling_effects_async.emulator.choices import (
        Clips,
        RepeatedId,
        ReplyShape,
        RetiredScenes,
        UnknownTask,
    )
    from kling_effects_async.emulator.faults import Fault
    from kling_effects_async.emulator.ledger import Ledger, LedgerEntry
    from kling_effects_async.emulator.server import Emulator
    from kling_effects_async.emulator.settings import EmulatorError

__all__ = [
    "Clips",
    "Emulator",
    "EmulatorError",
    "Fault",
    "Ledger",
    "LedgerEntry",
    "RepeatedId",
    "ReplyShape",
    "RetiredScenes",
    "UnknownTask",
]

_HOMES = {
    "Clips": "choices",
    "Emulator": "server",
    "EmulatorError": "settings",
    "Fault": "faults",
    "Ledger": "ledger",
    "LedgerEntry": "ledger",
    "RepeatedId": "choices",
    "ReplyShape": "choices",
    "RetiredScenes": "choices",
    "UnknownTask": "choices",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return __all__
