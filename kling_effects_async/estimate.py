"""What a number of tasks is likely to cost, and how long they are likely to take; pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from attrs import frozen

from kling_effects_async.journal.budget import RECENT, UNKNOWN_UNITS

__all__ = ["Estimate", "SceneEstimate", "estimate_of", "estimate_scene"]

_OF_THIS_ACCOUNT = f"what the last tasks of this scene cost, {RECENT} at most"
_OF_OTHERS = "prices of a third party's set of scenes, 2025: this account has paid for none yet"


@frozen(kw_only=True)
class SceneEstimate:
    """The part of one scene.

    Attributes:
        scene: its name.
        tasks: how many tasks of it are meant.
        units: what one of them costs, from the lowest to the highest.
        units_source: where that comes from, in words.
        is_known: it comes from this account's own tasks.
        seconds: what one of them takes: a tenth of the scene's tasks took no longer than the first,
            nine tenths no longer than the second; ``None`` before eight of them ended.
    """

    scene: str
    tasks: int
    units: tuple[Decimal, Decimal]
    units_source: str
    is_known: bool
    seconds: tuple[float, float] | None


@frozen(kw_only=True)
class Estimate:
    """What ``EffectsClient.estimate`` returns.

    Attributes:
        scenes: each scene's part.
        units: what all tasks cost together, from the lowest to the highest, in the service's units.
        seconds: from the first submit to the last end, where all tasks are as quick as the quick
            ones, and as slow as the slow ones; ``None`` while that of a scene is not known.
        slots: how many tasks run at once, as far as is known.
    """

    scenes: tuple[SceneEstimate, ...]
    units: tuple[Decimal, Decimal]
    seconds: tuple[float, float] | None
    slots: int

    @property
    def tasks(self) -> int:
        """How many tasks are meant."""
        return sum(part.tasks for part in self.scenes)


def estimate_scene(
    scene: str,
    tasks: int,
    *,
    recent_units: tuple[Decimal, Decimal] | None,
    spread_s: tuple[float, float, float] | None,
) -> SceneEstimate:
    """One scene's part.

    Args:
        recent_units: the lowest and the highest cost of its last tasks, if there are any.
        spread_s: what a tenth, nine tenths, and all of its tasks took at most, if that is known.
    """
    return SceneEstimate(
        scene=scene,
        tasks=tasks,
        units=UNKNOWN_UNITS if recent_units is None else recent_units,
        units_source=_OF_OTHERS if recent_units is None else _OF_THIS_ACCOUNT,
        is_known=recent_units is not None,
        seconds=None if spread_s is None else spread_s[:2],
    )


def estimate_of(parts: Iterable[SceneEstimate], *, slots: int) -> Estimate:
    """All parts together."""
    parts = tuple(parts)
    low, high = (
        sum((part.tasks * part.units[end] for part in parts), Decimal(0)) for end in (0, 1)
    )
    lengths = [(part.tasks, part.seconds) for part in parts if part.tasks]
    known = [(tasks, seconds) for tasks, seconds in lengths if seconds is not None]
    is_known = len(known) == len(lengths)
    return Estimate(
        scenes=parts,
        units=(low, high),
        seconds=(_length(known, 0, slots), _length(known, 1, slots)) if is_known else None,
        slots=slots,
    )


def _length(lengths: list[tuple[int, tuple[float, float]]], end: int, slots: int) -> float:
    """Seconds for all tasks, as many at once as there are slots."""
    tasks = sum(number for number, _seconds in lengths)
    if not tasks:
        return 0.0
    mean_s = sum(number * seconds[end] for number, seconds in lengths) / tasks
    rounds = -(-tasks // slots)
    return max(rounds * mean_s, *(seconds[end] for _number, seconds in lengths))
