"""What is counted while the items pass by."""

from __future__ import annotations

from decimal import Decimal

from kling_effects_async.report import ItemState, ReportItem
from kling_effects_async.report.cost import total_units
from kling_effects_async.report.sheet import MAX_CARDS, MAX_PICTURE_BYTES, Sheet
from kling_effects_async.report.tally import MAX_GROUPS, MAX_LISTED, Tally
from tests.support.reports import failed, jpeg, saved


def tally_of(*items: ReportItem) -> Tally:
    tally = Tally()
    for item in items:
        tally.add(item)
    return tally


def test_failures_are_grouped_by_reason_and_the_largest_group_comes_first() -> None:
    tally = tally_of(failed("a", "too small"), failed("b"), saved("c"), failed("d"))
    groups = [(g.reason, g.count, [f.number for f in g.listed]) for g in tally.groups]
    assert groups == [("No face was found", 2, [2, 4]), ("too small", 1, [1])]


def test_one_reason_with_two_states_is_two_groups() -> None:
    lost = ReportItem(name="x", state=ItemState.UNCERTAIN, reason="No face was found")
    assert len(tally_of(failed(), lost).groups) == 2


def test_an_item_knows_the_group_that_it_was_counted_in() -> None:
    items = [failed("a", f"reason {n}") for n in range(MAX_GROUPS + 5)]
    tally = tally_of(*items)
    numbers = {group.number: group for group in tally.groups}
    assert all(numbers[tally.group_number(item) or 0].count >= 1 for item in items)
    assert tally.group_number(saved()) is None


def test_a_million_reasons_are_a_bounded_number_of_groups_and_no_item_is_missed() -> None:
    tally = tally_of(*(failed("a", f"reason {n}") for n in range(MAX_GROUPS + 500)))
    assert len(tally.groups) == MAX_GROUPS + 1
    assert tally.groups[0].reason == "Other reasons"
    assert sum(group.count for group in tally.groups) == MAX_GROUPS + 500


def test_a_group_lists_so_many_items_at_most_and_keeps_no_picture() -> None:
    picture = jpeg()
    tally = tally_of(*(failed(input_thumbnail=picture) for _ in range(MAX_LISTED + 7)))
    (group,) = tally.groups
    assert (group.count, len(group.listed)) == (MAX_LISTED + 7, MAX_LISTED)
    assert {failure.item.input_thumbnail for failure in group.listed} == {None}


def test_units_are_added_up_exactly_and_only_where_they_are_known() -> None:
    tally = tally_of(*(saved(task_id="1", units=Decimal("0.1")) for _ in range(3)))
    tally.add(saved(task_id="2"))
    line = tally.costs[ItemState.SAVED]
    assert (line.tasks, line.known, total_units(tally)) == (4, 3, Decimal("0.3"))
    assert total_units(tally_of(saved(task_id="2"))) is None


def test_the_sheet_keeps_room_for_failures_after_it_is_full() -> None:
    sheet = Sheet(cards=MAX_CARDS)
    assert not sheet.has_room(saved())
    assert sheet.has_room(failed())
    assert (sheet.cards, sheet.left_out) == (MAX_CARDS + 1, 1)


def test_pictures_that_would_make_the_page_too_large_are_left_out() -> None:
    sheet = Sheet(picture_bytes=MAX_PICTURE_BYTES - 10)
    assert not sheet.has_room_for_pictures(11)
    assert sheet.has_room_for_pictures(10)
    assert sheet.without_pictures == 1
