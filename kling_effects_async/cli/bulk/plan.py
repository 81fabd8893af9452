"""What a run would send, cost and take, found without sending anything."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from attrs import define, field, frozen

from kling_effects_async import EffectsClient, Estimate, JobState, derived_id
from kling_effects_async.cli.bulk.drawing import drawn
from kling_effects_async.cli.bulk.external_ids import MetIds
from kling_effects_async.cli.bulk.lines import duration, end_words, units_words
from kling_effects_async.cli.bulk.row import Row, prepared
from kling_effects_async.cli.bulk.sources import Rows

__all__ = [
    "Plan",
    "PlannedRow",
    "by_line",
    "estimate_lines",
    "moment_of",
    "plan_line",
    "planned_rows",
]

_AHEAD = 16  # pictures that are read at the same time
_BY = re.compile(r"(?:(\d{4})-(\d\d)-(\d\d)[T ])?(\d{1,2}):(\d\d)")
_BECOMES = {
    None: "send",
    JobState.PLANNED: "send",
    JobState.REJECTED: "send",
    JobState.SUBMITTING: "settle",
    JobState.UNCERTAIN: "settle",
    JobState.ACCEPTED: "wait",
    JobState.SUCCEEDED: "save",
    JobState.DOWNLOADED: "done",
    JobState.FAILED: "failed",
    JobState.ABANDONED: "abandoned",
}


@frozen
class PlannedRow:
    """What a run would do about a row.

    Attributes:
        what: ``send``, and pay; ``settle``, ``wait`` and ``save``: it is paid already, or may be;
            ``done``, ``failed``, ``abandoned``: nothing more; ``same``: as an earlier row.
        note: what it is the same as, or where its clip is.
    """

    row: Row
    what: str
    note: str = ""


@define
class Plan:
    """Counts of planned rows.

    Attributes:
        whats: how many rows of each kind.
        scenes: how many rows of each scene would be sent.
    """

    whats: Counter[str] = field(factory=Counter)
    scenes: Counter[str] = field(factory=Counter)

    def add(self, planned: PlannedRow) -> None:
        """Count one."""
        self.whats[planned.what] += 1
        if planned.what == "send":
            self.scenes[planned.row.effect.scene] += 1


def plan_line(plan: Plan) -> str:
    """How many rows would come to what."""
    words = {
        "send": "to send, and pay",
        "settle": "to settle",
        "wait": "paid and running",
        "save": "paid, to be saved",
        "done": "done before",
        "failed": "failed before",
        "abandoned": "abandoned",
        "same": "the same as another one",
    }
    parts = [f"{plan.whats[what]} {text}" for what, text in words.items() if plan.whats[what]]
    return ", ".join(parts) or "there is no row"


async def planned_rows(
    client: EffectsClient, rows: Rows, ids: MetIds, *, run: str | None
) -> AsyncIterator[PlannedRow]:
    """What would be done about each row, in their order; the pictures are read.

    Args:
        ids: none yet; afterwards those of the rows' jobs.
    """
    async for batch in _batches(drawn(rows)):
        names = await asyncio.gather(*(asyncio.to_thread(_id_of, row, run) for row in batch))
        firsts = await asyncio.to_thread(_first_places, batch, names, ids)
        for row, name, first in zip(batch, names, firsts, strict=True):
            yield await _planned(client, row, name, first)


async def _planned(
    client: EffectsClient, row: Row, external_task_id: str, first: str | None
) -> PlannedRow:
    if first is not None:
        return PlannedRow(row, "same", first)
    job = await client.job(external_task_id)
    if job is None:
        return PlannedRow(row, _BECOMES[None])
    return PlannedRow(row, _BECOMES[job.state], job.path or "")


async def _batches(rows: AsyncIterator[Row]) -> AsyncIterator[list[Row]]:
    batch: list[Row] = []
    async for row in rows:
        batch.append(row)
        if len(batch) == _AHEAD:
            yield batch
            batch = []
    if batch:
        yield batch


def _first_places(rows: Sequence[Row], names: Sequence[str], ids: MetIds) -> list[str | None]:
    return [ids.first_place(name, row.where) for row, name in zip(rows, names, strict=True)]


def _id_of(row: Row, run: str | None) -> str:
    return row.external_task_id or derived_id(prepared(row).effect, salt=run)


def estimate_lines(estimate: Estimate, now: datetime) -> Sequence[str]:
    """What is to be expected, and where that comes from."""
    if not estimate.tasks:
        return ["nothing would be sent, and nothing paid"]
    lines = [f"{estimate.tasks} to send, {_units(estimate)}"]
    for part in estimate.scenes:
        low, high = part.units
        each = units_words(high) if low == high else f"{low.normalize():f} to {units_words(high)}"
        lines.append(f"    {part.scene}: {part.tasks} of {each} each; {part.units_source}")
    if estimate.seconds is None:
        lines.append("how long they take is not known before eight tasks of each scene ended")
    else:
        first, last = (now + timedelta(seconds=seconds) for seconds in estimate.seconds)
        lengths = " to ".join(dict.fromkeys(map(duration, estimate.seconds)))
        lines.append(f"{lengths} with {estimate.slots} slots: {end_words(first, last)}")
    return lines


def _units(estimate: Estimate) -> str:
    low, high = estimate.units
    return units_words(high) if low == high else f"{low.normalize():f} to {units_words(high)}"


def moment_of(text: str, now: datetime) -> datetime | None:
    """A moment to come: ``18:00`` (the next one), or ``2026-12-01 18:00``; ``None``: unreadable."""
    found = _BY.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute = (
        None if part is None else int(part) for part in found.groups()
    )
    try:
        moment = now.replace(hour=hour or 0, minute=minute or 0, second=0, microsecond=0)
        if year is not None and month is not None and day is not None:
            return moment.replace(year=year, month=month, day=day)
    except ValueError:
        return None
    return moment if moment > now else moment + timedelta(days=1)


def by_line(estimate: Estimate, by: datetime, now: datetime) -> str:
    """Whether the run can be over by then."""
    when = f"{by:%H:%M}" if by.date() == now.date() else f"{by:%a %H:%M}"
    if estimate.seconds is None:
        return f"whether it is over by {when} cannot be said yet"
    first, last = (now + timedelta(seconds=seconds) for seconds in estimate.seconds)
    if last <= by:
        return f"it is over by {when}"
    if first > by:
        return f"it cannot be over by {when}: {end_words(first, last)}"
    return f"it may be over by {when}, or not: {end_words(first, last)}"
