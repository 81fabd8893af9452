"""The service's list, looked through for external ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from kling_effects_async.errors import NetworkError, ReplyError, ServiceError
from kling_effects_async.models import TaskPage, TaskSnapshot, TaskStatus
from kling_effects_async.protocol.requests import PAGE_SIZE_MAX as PAGE_SIZE
from kling_effects_async.submitting.listed import (
    PAGES_AT_MOST,
    find_listed,
    listed_by_external_id,
)
from kling_effects_async.submitting.settling import Finder, Finding
from kling_effects_async.transport.clock import SystemClock
from tests.support.paid_service import Bench, PaidService, a_job

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Listing:
    """So many tasks, newest first, one in ten minutes; some entries cannot be read."""

    def __init__(self, total: int, *, unreadable: int = 0) -> None:
        self.read: list[int] = []
        self._tasks = [
            TaskSnapshot(
                task_id=f"t{number}",
                external_task_id=f"order-{number}",
                status=TaskStatus.SUCCEEDED,
                raw_status="succeed",
                created_at=NOW - timedelta(minutes=10 * number),
            )
            for number in range(total)
        ]
        self._unreadable = unreadable

    async def page(self, number: int, size: int) -> TaskPage:
        self.read.append(number)
        tasks = tuple(self._tasks[(number - 1) * size : number * size])
        readable = tasks[self._unreadable :]
        return TaskPage(
            tasks=readable, unreadable=len(tasks) - len(readable), page=number, page_size=size
        )


@pytest.mark.parametrize(("number", "pages"), [(0, 1), (PAGE_SIZE, 2), (PAGE_SIZE * 2 + 5, 3)])
async def test_a_task_is_found_on_whichever_page_it_is(number: int, pages: int) -> None:
    listing = Listing(PAGE_SIZE * 4)
    found = await find_listed(listing.page, f"order-{number}", since=NOW - timedelta(days=30))
    assert found is not None
    assert found.task_id == f"t{number}"
    assert len(listing.read) == pages


async def test_pages_of_tasks_that_are_older_than_the_job_are_not_read_on() -> None:
    listing = Listing(PAGE_SIZE * 4)
    assert (
        await find_listed(listing.page, "none", since=NOW - timedelta(minutes=5 * PAGE_SIZE))
        is None
    )
    assert listing.read == [1, 2]


async def test_an_empty_page_is_the_end() -> None:
    listing = Listing(PAGE_SIZE + 1)
    assert await find_listed(listing.page, "none", since=NOW - timedelta(days=30)) is None
    assert listing.read == [1, 2, 3]


async def test_a_service_with_a_limit_of_its_own_is_read_to_its_end() -> None:
    """A page with fewer tasks than were asked for says nothing of the next one."""
    listing = Listing(250)

    async def a_hundred(number: int, _size: int) -> TaskPage:
        return await listing.page(number, 100)

    assert len(await listed_by_external_id(a_hundred)) == 250
    assert listing.read == [1, 2, 3, 4]


async def test_entries_that_nobody_can_read_do_not_make_a_page_the_last() -> None:
    listing = Listing(PAGE_SIZE + 5, unreadable=1)
    known = await listed_by_external_id(listing.page)
    assert listing.read == [1, 2, 3]
    assert known[f"order-{PAGE_SIZE + 1}"].task_id == f"t{PAGE_SIZE + 1}"


async def test_of_a_long_list_the_newest_pages_are_enough() -> None:
    listing = Listing(PAGE_SIZE * (PAGES_AT_MOST + 2))
    assert len(await listed_by_external_id(listing.page)) == PAGE_SIZE * PAGES_AT_MOST
    assert len(listing.read) == PAGES_AT_MOST


async def test_a_list_that_is_not_there_is_an_error_of_the_service() -> None:
    async def page(_number: int, _size: int) -> TaskPage:
        raise ServiceError("no list")

    with pytest.raises(ServiceError):
        await listed_by_external_id(page)


class ListingService(PaidService):
    """It lists tasks; those that it finds by their external ids are others."""

    def __init__(self, listing: Listing, *, has_list: bool | None = None) -> None:
        super().__init__()
        self.listing = listing
        self.list_error: Exception | None = None
        self._has_list = has_list

    @property
    def has_list(self) -> bool | None:  # type: ignore[override]  # it may be unknown
        return self._has_list

    async def list_page(self, number: int, size: int, *, may_be_missing: bool = False) -> TaskPage:
        if self.list_error is not None:
            raise self.list_error
        assert may_be_missing is True  # else a service without a list is asked again and again
        return await self.listing.page(number, size)


def finder(service: ListingService, bench: Bench | None = None) -> Finder:
    store = (bench or Bench(service)).store
    return Finder(service, store, SystemClock(), pause_s=5.0)


@pytest.mark.looptime
@pytest.mark.parametrize("answers_lookups", [True, False])
@pytest.mark.parametrize("has_list", [True, None])
async def test_what_lookups_do_not_find_the_list_may_have(
    answers_lookups: bool, has_list: bool | None
) -> None:
    service = ListingService(Listing(PAGE_SIZE * 2), has_list=has_list)
    service.answers_lookups = answers_lookups
    finding = await finder(service).find(a_job("order-7"), late_s=0.0, is_there=False)
    assert finding.snapshot is not None
    assert (finding.snapshot.task_id, finding.is_absent) == ("t7", False)


@pytest.mark.looptime
async def test_a_list_without_the_task_proves_nothing() -> None:
    service = ListingService(Listing(PAGE_SIZE))
    assert await finder(service).find(a_job("a"), late_s=0.0, is_there=False) == Finding()


@pytest.mark.looptime
async def test_pages_from_before_the_job_are_not_read_for_it() -> None:
    service = ListingService(Listing(PAGE_SIZE * 4))
    made = NOW - timedelta(minutes=5 * PAGE_SIZE)
    job = evolve(a_job("none"), created_at=made)
    assert await finder(service).find(job, late_s=0.0, is_there=False) == Finding()
    assert service.listing.read == [1, 2]


@pytest.mark.looptime
async def test_where_there_is_no_list_none_is_read() -> None:
    service = ListingService(Listing(1), has_list=False)
    assert await finder(service).find(a_job("order-0"), late_s=0.0, is_there=True) == Finding()
    assert service.listing.read == []


@pytest.mark.looptime
async def test_a_list_that_fails_proves_nothing() -> None:
    service = ListingService(Listing(1))
    service.list_error = ReplyError("a page of HTML", http_status=200)
    assert await finder(service).find(a_job("order-0"), late_s=0.0, is_there=True) == Finding()


@pytest.mark.looptime
async def test_where_nobody_answers_a_lookup_and_no_list_helps_that_is_the_error() -> None:
    service = ListingService(Listing(1))
    service.answers_lookups = False
    with pytest.raises(NetworkError, match="nobody answers"):
        await finder(service).find(a_job("a"), late_s=0.0, is_there=False)


@pytest.mark.looptime
@pytest.mark.parametrize("finds_external_ids", [True, False])
async def test_a_single_lookup_shows_what_two_would(finds_external_ids: bool) -> None:
    service = ListingService(Listing(0))
    bench = Bench(service)
    await bench.submit("known")
    service.finds_external_ids = finds_external_ids
    absent = await finder(service, bench).look_up_once(a_job("a"))
    assert absent == Finding(is_absent=finds_external_ids)
    service.finds_external_ids = True
    service.accept("a")
    found = await finder(service, bench).look_up_once(a_job("a"))
    assert found.snapshot is not None
    assert (found.snapshot.task_id, found.is_absent) == ("t1", False)
