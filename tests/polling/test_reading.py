"""How far the list is read, and what it should have shown: by the times on its pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kling_effects_async.polling.reading import FEWEST, Reading
from kling_effects_async.protocol.messages import Listed
from kling_effects_async.protocol.requests import PAGE_SIZE_MAX

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def page(
    number: int,
    newest: float | None = None,
    oldest: float | None = None,
    shown: int = PAGE_SIZE_MAX,
) -> Listed:
    return Listed(
        tasks=(),
        shown=shown,
        first_id=f"first-of-{number}",
        newest_at=None if newest is None else at(newest),
        oldest_at=None if oldest is None else at(oldest),
    )


def read(*pages: Listed, found: int = 0, oldest: float | None = None) -> Reading:
    reading = Reading(None if oldest is None else at(oldest))
    for each in pages:
        reading.take(each, found)
    return reading


def test_a_list_is_read_on_until_a_page_is_older_than_all_of_ours() -> None:
    ours = [at(-15)] * 20
    assert read(page(1, 0, -10)).goes_on(ours)
    assert read(page(1, 0, -10), page(2, -10, -14)).goes_on(ours)
    assert read(page(1, 0, -10), page(2, -10, -20)).goes_on(ours)  # nearly in order is enough
    assert not read(page(1, 0, -10), page(2, -10, -20), page(3, -20, -30)).goes_on(ours)


def test_pages_without_ours_are_read_only_for_as_many_tasks_as_they_are_worth() -> None:
    far = [at(-1000)] * 20
    pages = [page(number, -number, -number - 1) for number in range(1, 8)]
    assert [read(*pages[:count]).goes_on(far) for count in range(1, 8)] == [True] * 5 + [False] * 2
    assert not read(pages[0], found=480).goes_on(far[: FEWEST - 1])
    assert read(pages[0], found=480).goes_on(far[:FEWEST])


def test_a_task_on_a_page_that_was_not_read_is_not_missed() -> None:
    reading = read(page(1, 0, -10), page(2, -10, -20))
    assert not reading.should_have_shown(at(-30))
    assert reading.should_have_shown(at(-5))


@pytest.mark.parametrize(("newest", "oldest"), [(None, None), (0, 0)], ids=["untold", "still"])
def test_without_times_that_fall_nothing_is_missed_before_the_end_of_the_list(
    newest: float | None, oldest: float | None
) -> None:
    first, last = page(1, newest, oldest), page(2, newest, oldest, shown=3)
    assert not read(first, found=1).should_have_shown(at(0))
    assert read(first, last, found=1).should_have_shown(at(0))


def test_a_list_that_shows_nothing_of_ours_and_no_order_has_missed_them() -> None:
    assert read(page(1)).should_have_shown(at(0))
    assert read(page(1, 0, -10), page(2, 10, 0)).should_have_shown(at(-5))


def test_a_list_with_the_oldest_first_is_not_judged_by_its_times() -> None:
    oldest_first = [page(1, -10, -20), page(2, 0, -10)]
    assert not read(*oldest_first, found=1).should_have_shown(at(5))
    assert read(*oldest_first, found=1).goes_on([at(5)] * FEWEST)
    assert read(oldest_first[0], oldest=-5).goes_on([at(-5)] * FEWEST)


def test_without_times_the_list_is_not_read_for_ever() -> None:
    pages = [page(number) for number in range(1, 30)]
    assert sum(read(*pages[:count]).goes_on([None] * 5000) for count in range(1, 30)) == 20


def test_a_service_that_gives_smaller_pages_is_read_on_for_what_is_older() -> None:
    reading = read(page(1, 0, -10, shown=100), found=80)
    assert reading.goes_on([at(-12)] * FEWEST)
    assert not reading.goes_on([at(-5)] * FEWEST)
    assert reading.should_have_shown(at(-5))
    assert not reading.should_have_shown(at(-12))


@pytest.mark.parametrize("last", [page(1, 0, -10), page(2, shown=0)], ids=["repeated", "empty"])
def test_a_page_that_is_empty_or_repeated_is_the_end(last: Listed) -> None:
    reading = read(page(1, 0, -10), last, found=1)
    assert not reading.goes_on([at(-12)] * 100)
    assert reading.should_have_shown(at(-12))
