"""A client of an emulator inside this process, for a run without a key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from kling_effects_async import EffectsClient, Event, Journal, PollPolicy, SettingsError
from kling_effects_async.cli.messages import in_our_words
from kling_effects_async.emulator import Clips, Emulator, EmulatorError

__all__ = ["NOTICE", "preview_client"]

NOTICE = (
    "no key found, so this is a preview made on this machine, not Kling's model; for the real "
    "effect set KLING_API_KEY, or KLING_ACCESS_KEY and KLING_SECRET_KEY"
)

# An emulated task of 40 to 90 s then takes 0.15 s at most. Drawing its clip takes two to four real
# seconds, and the wait should be for that alone.
_SPEED = 600


@asynccontextmanager
async def preview_client(
    clips: Clips,
    *,
    timeout_s: float,
    journal: Journal | None = None,
    on_event: Callable[[Event], object] | None = None,
) -> AsyncIterator[EffectsClient]:
    """A client whose service lives as long as the block.

    Raises:
        SettingsError: the packages that draw the clips are missing.
    """
    # Polls within one machine cost nothing, so they come often.
    poll = PollPolicy(shortest_s=0.1, max_interval_s=0.5, deadline_s=timeout_s)
    async with AsyncExitStack() as exits:
        try:
            emulator = await exits.enter_async_context(Emulator(speed=_SPEED, clips=clips))
        except EmulatorError as error:
            raise SettingsError(_missing(error)) from error
        yield await exits.enter_async_context(
            emulator.client(poll=poll, journal=journal, on_event=on_event)
        )


def _missing(error: EmulatorError) -> str:
    if "[emulator]" not in str(error):
        return in_our_words(str(error))
    return (
        'no key found, and a preview needs pip install "kling-effects-async[emulator]"; or set '
        "KLING_API_KEY, or KLING_ACCESS_KEY and KLING_SECRET_KEY"
    )
