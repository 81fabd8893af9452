"""What is said of a run before anything is sent; the values alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from kling_effects_async import Estimate
from kling_effects_async.cli.bulk.arguments import default_run_name, split_scene
from kling_effects_async.cli.bulk.plan import by_line, estimate_lines, moment_of
from kling_effects_async.estimate import estimate_of, estimate_scene

NOON = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def estimate(tasks: int, spread_s: tuple[float, float, float] | None) -> Estimate:
    costs = (Decimal(2), Decimal("3.5"))
    part = estimate_scene("squish", tasks, recent_units=costs, spread_s=spread_s)
    return estimate_of([part], slots=5)


KNOWN = estimate(300, (40.0, 90.0, 100.0))  # 40 to 90 minutes


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("18:00", NOON.replace(hour=18)),
        ("9:30", NOON.replace(day=30, hour=9, minute=30)),
        ("12:00", NOON.replace(day=30)),
        ("2026-12-01 08:00", NOON.replace(month=12, day=1, hour=8)),
        ("2026-12-01T08:00", NOON.replace(month=12, day=1, hour=8)),
        ("25:00", None),
        ("noon", None),
        ("2026-13-01 08:00", None),
    ],
)
def test_a_time_is_the_next_one(text: str, moment: datetime | None) -> None:
    assert moment_of(text, NOON) == moment


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(91, "it is over by"), (60, "it may be over by"), (30, "it cannot be over by")],
)
def test_whether_it_can_be_over(minutes: int, words: str) -> None:
    assert by_line(KNOWN, NOON + timedelta(minutes=minutes), NOON).startswith(words)


def test_an_unknown_duration_promises_nothing() -> None:
    unknown = estimate(300, None)
    assert by_line(unknown, NOON + timedelta(days=9), NOON).endswith("cannot be said yet")
    assert any("not known" in line for line in estimate_lines(unknown, NOON))


def test_the_lines_say_what_it_costs_and_where_that_comes_from() -> None:
    text = "\n".join(estimate_lines(KNOWN, NOON))
    assert "300 to send, 600 to 1050 units" in text
    assert "300 of 2 to 3.5 units each; what the last tasks" in text
    assert "40:00 to 1:30:00 with 5 slots: ends 12:40 to 13:30" in text
    assert list(estimate_lines(estimate(0, None), NOON)) == [
        "nothing would be sent, and nothing paid"
    ]


def test_a_manifest_or_a_list_needs_no_scene_before_it() -> None:
    assert split_scene(("squish", "photos/")) == ("squish", ("photos/",))
    assert split_scene(("photos.CSV", "more.jsonl")) == (None, ("photos.CSV", "more.jsonl"))
    assert split_scene(("-",)) == (None, ("-",))
    assert split_scene(("squish",)) == ("squish", ())


def test_the_same_command_line_has_the_same_journal() -> None:
    name = default_run_name("squish", ["photos/"])
    assert name == default_run_name("squish", ["photos"])
    assert name.startswith("squish-photos-")
    others = [("hug", ["photos"]), (None, ["photos"]), ("squish", ["photos", "more"])]
    assert name not in {default_run_name(scene, sources) for scene, sources in others}
    assert default_run_name(None, ["-"]).isprintable()
    assert len(default_run_name("squish", ["https://x.example/" + "a" * 500])) < 100
