"""The page in a real Chromium, opened from disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from kling_effects_async.preview import stock_clip
from kling_effects_async.report import ItemState, ReportItem
from tests.support.browser import opened
from tests.support.reports import failed, jpeg, saved, written

pytestmark = pytest.mark.asyncio(loop_scope="module")

WRONG = "<img src=x onerror=document.title='owned'>\"'</script>\u202e.jpg"
COMMAND = "kling-effects bulk squish failed.csv -o 'my clips/' --prepare"


def many() -> Iterator[ReportItem]:
    """200 items: every fiftieth failed, two are uncertain, the others are saved."""
    picture = jpeg()
    for number in range(1, 201):
        start = number * 3.0
        times: dict[str, Any] = {"submitted_s": start, "accepted_s": start, "ended_s": start + 200}
        if number in (3, 4):
            yield ReportItem(name=f"lost {number}", state=ItemState.UNCERTAIN, reason="no answer")
        elif number % 50 == 0:
            yield failed(f"dog {number}", task_id=f"T{number}", **times)
        else:
            yield saved(f"cat {number}", first_frame=picture, clip="clip.mp4", **times)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    return written(folder, many(), slots=[(0, 60)], took_s=900, retry_command=COMMAND)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    (folder / "clip.mp4").write_bytes(stock_clip())
    whole: dict[str, Any] = {"input_thumbnail": jpeg(), "first_frame": jpeg(), "clip": "clip.mp4"}
    items = [
        saved("first.jpg", **whole),
        saved("second.jpg", **whole),
        failed(WRONG, WRONG, advice=WRONG, detail=WRONG, task_id=WRONG, where=WRONG),
        saved("a" * 300, **whole),
    ]
    return written(folder, items, title=WRONG, scene=WRONG)


async def test_what_is_shown_is_what_was_asked_for(browser: Browser, large: Path) -> None:
    async with opened(browser, large) as report:
        page, sheet = report.page, report.shown
        assert await sheet() == [f"{'lost' if n in (3, 4) else 'cat'} {n}" for n in range(1, 49)]
        await page.get_by_role("radio", name="failed").check()
        assert await sheet() == [f"dog {n}" for n in range(50, 201, 50)]
        await report.search("T10 DOG")  # every word, in any case, of ids too
        assert await sheet() == ["dog 100"]
        assert await page.inner_text("#range") == "1 to 1 of 1"
        await report.search("nothing like this")
        assert await sheet() == []
        assert await page.is_visible("#no-match")
        await page.click("a[data-shows=uncertain]")
        assert await sheet() == ["lost 3", "lost 4"]
        await page.get_by_role("radio", name="all").check()
        await page.click("#next")
        assert (await sheet())[0] == "cat 49"
        await page.select_option("#page", label="5 of 5")
        assert (await sheet())[-1] == "dog 200"
        assert await page.inner_text("#range") == "193 to 200 of 200"
        assert await page.is_disabled("#next")
        assert report.console == []


async def test_a_failure_leads_to_its_item_wherever_that_is(browser: Browser, large: Path) -> None:
    async with opened(browser, large) as report:
        await report.search("cat 7")
        listed = report.page.locator(".failure").get_by_role("link", name="dog 150", exact=True)
        await listed.click()
        await report.expect_focus("dog 150")
        assert await report.page.input_value("#find") == ""
        await report.page.keyboard.press("Enter")
        assert "#failure-" in report.page.url  # and from the item to its reason


async def test_the_line_for_the_failed_items_is_copied_whole(browser: Browser, large: Path) -> None:
    async with opened(browser, large) as report:
        await report.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await report.page.get_by_role("button", name="Copy").click()
        await report.page.get_by_role("button", name="Copied").wait_for()
        assert await report.page.evaluate("navigator.clipboard.readText()") == COMMAND


async def test_the_keyboard_is_enough(browser: Browser, large: Path) -> None:
    async with opened(browser, large) as report:
        press = report.page.keyboard.press
        await press("Tab")
        await report.expect_focus("Skip to the contact sheet")
        await press("Enter")
        await report.expect_focus("Contact sheet")
        await press("Tab")  # the states
        await press("Tab")  # the search
        await press("Tab")
        await report.expect_focus("cat 1")
        steps = [
            ("ArrowRight", "cat 2"),
            ("ArrowDown", "cat 6"),
            ("ArrowLeft", "cat 5"),
            ("ArrowUp", "cat 1"),
            ("End", "cat 48"),
            ("ArrowRight", "cat 49"),
            ("ArrowLeft", "cat 48"),
            ("PageDown", "cat 49"),
            ("PageUp", "cat 1"),
        ]
        for key, name in steps:
            await press(key)
            await report.expect_focus(name)
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert await report.page.evaluate(outline) == "solid"


async def test_hostile_names_are_text_load_nothing_and_fit_a_telephone(
    browser: Browser, small: Path
) -> None:
    async with opened(browser, small) as report:
        assert await report.page.title() == WRONG
        assert (await report.shown())[2] == WRONG
        assert await report.page.locator("img").count() == 6
        assert (report.console, report.loaded) == ([], [])
        await report.page.set_viewport_size({"width": 390, "height": 844})  # a telephone's
        assert await report.page.evaluate("document.documentElement.scrollWidth") == 390


async def test_a_clip_plays_while_its_name_has_the_focus(browser: Browser, small: Path) -> None:
    async with opened(browser, small) as report:
        await report.page.get_by_role("link", name="first.jpg").focus()
        await report.expect_playing()
        assert report.loaded[0] == small.with_name("clip.mp4").as_uri()
        await report.page.keyboard.press("ArrowRight")
        await report.expect_playing()
        await report.page.keyboard.press("ArrowRight")
        assert await report.page.locator("video").count() == 0
        assert report.console == []


async def test_without_scripts_every_item_is_there(browser: Browser, large: Path) -> None:
    async with opened(browser, large, java_script=False) as report:
        last = report.page.locator("#item-200")
        assert await last.is_visible()
        assert not await report.page.is_visible("#controls")
