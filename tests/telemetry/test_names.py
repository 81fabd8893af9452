"""The tables of names in the docs are what a client reports, no more and no less."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kling_effects_async import EffectsClient, KlingEffectsError, SingleImageEffect
from kling_effects_async.emulator import Emulator, Fault
from tests.conftest import PHOTOS
from tests.support.recorded import Recorded

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"
SQUISH = SingleImageEffect("squish", image=PHOTOS / "cat.jpg")


def table(heading: str) -> Iterator[list[str]]:
    """The rows of the first table below a heading, cell by cell."""
    section = PAGE.read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    first = re.search(r"(?:^\|.*\|\n)+", section, re.MULTILINE)
    assert first is not None
    for row in first[0].splitlines()[2:]:
        yield [cell.strip() for cell in row.strip("|").split("|")]


def names(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


async def do_everything(client: EffectsClient, emulator: Emulator, folder: Path) -> None:
    """All that is reported happens."""
    emulator.fail_next(Fault.rejected(1302))
    result = await client.run(SQUISH, external_task_id="order-1")
    await client.download(result.video, folder / "clip.mp4")
    for fault in (Fault.task_failed(), Fault.rejected(1201)):
        emulator.fail_next(fault)
        with suppress(KlingEffectsError):
            await client.run(SQUISH)
    assert [outcome async for outcome in client.run_many([SQUISH])]
    assert [task async for task in client.submit_many([SQUISH])]


@pytest.mark.looptime
async def test_all_names_are_those_of_the_tables(
    client: EffectsClient, emulator: Emulator, recorded: Recorded, tmp_path: Path
) -> None:
    await do_everything(client, emulator, tmp_path)
    await client.aclose()
    assert told_metrics() == metrics_of(recorded)
    spans, events = spans_of(recorded)
    assert {name: names(row[2]) for row in table("Spans") for name in names(row[0])} == spans
    assert {row[0].strip("`"): names(row[1]) for row in table("Events of a task's span")} == events


Metrics = dict[str, tuple[str, str, set[str]]]


def told_metrics() -> Metrics:
    return {
        row[0].strip("`"): (row[1], row[2].strip("`"), names(row[3])) for row in table("Metrics")
    }


def metrics_of(recorded: Recorded) -> Metrics:
    """Kind, unit, and the attributes that any of its values has."""
    found: Metrics = {}
    for name, unit, attributes, _value in recorded.all():
        assert "kling.account" in attributes
        _, _, before = found.get(name, ("", "", set()))
        found[name] = (recorded.kind(name), unit, before | attributes.keys() - {"kling.account"})
    return found


def spans_of(recorded: Recorded) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """The attributes of spans, and of their events, by their names."""
    spans: dict[str, set[str]] = defaultdict(set)
    events: dict[str, set[str]] = defaultdict(set)
    for span in recorded.spans:
        spans[span.name.replace("squish", "{scene}")] |= (span.attributes or {}).keys()
        for event in span.events:
            events[event.name] |= (event.attributes or {}).keys()
    return spans, events
