"""A real Chromium without a window, and what went wrong in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from attrs import Factory, frozen
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

__all__ = ["OpenPage", "chromium", "launched", "opened"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str:
    """The system's browser; without one a test is skipped, and in CI it fails."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("there is no Chromium on this machine: install Debian's package `chromium`")
    return found


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """A browser; it ends with the block."""
    # Its sandbox does not work for root, who runs the tests in containers. The pages are ours.
    options = ["--no-sandbox", "--disable-gpu"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=options)
        yield browser
        await browser.close()


@frozen
class OpenPage:
    """A page, what it wrote to the console, and the addresses it loaded besides itself."""

    page: Page
    console: list[str] = Factory(list)
    loaded: list[str] = Factory(list)

    async def shown(self) -> list[str]:
        """The names on the contact sheet."""
        return await self.page.locator(".card:not([hidden]) .name").all_text_contents()

    async def expect_focus(self, text: str) -> None:
        """Wait until the element with this text has the focus."""
        await expect(self.page.locator(":focus")).to_have_text(text)

    async def expect_playing(self) -> None:
        """Wait until the one video of the page has frames to show."""
        # Not wait_for_function: that evaluates texts in the page, which its policy forbids.
        await self.page.locator("video").evaluate(
            "video => video.readyState >= 2 || new Promise(done => video.oncanplay = done)"
        )

    async def search(self, words: str) -> None:
        """Type into the search field, and press Enter."""
        await self.page.fill("#find", words)
        await self.page.press("#find", "Enter")


@asynccontextmanager
async def opened(
    browser: Browser, path: Path, *, java_script: bool = True
) -> AsyncIterator[OpenPage]:
    """The file, opened from disk."""
    context = await browser.new_context(
        viewport={"width": 1280, "height": 900}, java_script_enabled=java_script
    )
    found = OpenPage(await context.new_page())

    def heard(message: ConsoleMessage) -> None:
        found.console.append(message.text)

    found.page.on("console", heard)
    found.page.on("pageerror", lambda error: found.console.append(str(error)))
    found.page.on("request", lambda request: found.loaded.append(request.url))
    await found.page.goto(path.as_uri())
    found.loaded.pop(0)
    yield found
    await context.close()
