"""Where the time of one poll goes: ours beside plain aiohttp, then function by function."""

from __future__ import annotations

from attrs import evolve

from tests.bench.children import figures_of
from tests.bench.measuring import say
from tests.bench.rows import POLLS

__all__ = ["profile_polls"]


async def profile_polls(*, is_uvloop: bool) -> None:
    """Print both costs, then the profile (which itself makes every function slower)."""
    for side in ("ours", "plain"):
        (figures,) = await figures_of(evolve(POLLS, side=side), is_uvloop=is_uvloop)
        cost, polls = figures["poll_us"], figures["queries"]
        print(f"{side:5}  {cost:6.0f} us of CPU a poll, of {polls:,.0f} polls", flush=True)
    say("function by function, ours:")
    await figures_of(evolve(POLLS, is_profiled=True), is_uvloop=is_uvloop)
