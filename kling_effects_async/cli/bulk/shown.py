"""How a bulk run is shown while it goes on: a moving screen, or at most a line a second.

On a terminal the screen is drawn four times a second, whatever happens in between; in a log there
is a line only where something has changed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from kling_effects_async import EffectsClient, KlingEffectsError
from kling_effects_async.cli.bulk.lines import Look, progress_lines, status_line
from kling_effects_async.cli.bulk.run_state import RunState
from kling_effects_async.cli.console import say

if TYPE_CHECKING:
    from rich.live import Live

__all__ = ["Screen", "shown_run"]

_DRAWINGS_PER_S = 4
_LINE_EACH_S = 1.0
# To estimate the end reads the journal, and its minutes change slowly.
_ESTIMATE_EACH_S = 5.0


class Screen(Protocol):
    """Where a run is shown."""

    def aside(self) -> AbstractContextManager[object]:
        """Within the block the terminal is free for other lines."""


class _NoScreen:
    def aside(self) -> AbstractContextManager[object]:
        return nullcontext()


@asynccontextmanager
async def shown_run(
    state: RunState, client: EffectsClient, *, is_silent: bool
) -> AsyncIterator[Screen]:
    """Show the run on stderr until the block ends."""
    if is_silent or sys.stderr is None:
        yield _NoScreen()
        return
    about = _About(state, client)
    if not sys.stderr.isatty():
        async with _repeated(about.say_changes, each_s=_LINE_EACH_S):
            yield _NoScreen()
        return
    with _moving_screen() as screen:
        async with _repeated(lambda: about.draw(screen), each_s=1 / _DRAWINGS_PER_S):
            yield screen


class _About:
    """What is shown of a run besides its state: names of tasks, and when it may end."""

    def __init__(self, state: RunState, client: EffectsClient) -> None:
        self._state = state
        self._client = client
        self._names: dict[str, str] = {}
        self._expected: tuple[datetime, datetime] | None = None
        self._estimate_at_s = 0.0
        self._said = 0

    async def say_changes(self) -> None:
        """A line, if anything has changed."""
        if self._state.changes == self._said:
            return
        self._said = self._state.changes
        self._state.look(self._client.stats())
        latest, _colon, _what = self._state.latest.partition(": ")
        await self._name([latest])
        say(status_line(self._state, self._names))

    async def draw(self, screen: _MovingScreen) -> None:
        state, now_s = self._state, asyncio.get_running_loop().time()
        state.look(self._client.stats())
        await self._name(list(state.running)[: screen.most_names])
        if now_s >= self._estimate_at_s:
            self._estimate_at_s = now_s + _ESTIMATE_EACH_S
            self._expected = await self._expected_end()
        screen.draw(
            lambda look: progress_lines(
                state, now_s, look, names=self._names, expected=self._expected
            )
        )

    async def _name(self, external_task_ids: Iterable[str]) -> None:
        """Learn what the clips of these jobs are called; forget all others."""
        known, self._names = self._names, {}
        for each in external_task_ids:
            if not each:
                continue
            if each not in known:
                job = await self._client.job(each)
                known[each] = ((job and job.clip_name) or each).removesuffix(".mp4")
            self._names[each] = known[each]

    async def _expected_end(self) -> tuple[datetime, datetime] | None:
        left = {scene: number for scene, number in self._state.to_do.items() if number}
        seconds = (await self._client.estimate(left)).seconds
        if not left or seconds is None:
            return None
        now = datetime.now().astimezone()
        return now + timedelta(seconds=seconds[0]), now + timedelta(seconds=seconds[1])


@asynccontextmanager
async def _repeated(act: Callable[[], Awaitable[None]], *, each_s: float) -> AsyncIterator[None]:
    """Await ``act()`` again and again while the block runs."""

    async def repeat() -> None:
        while True:
            with suppress(KlingEffectsError):  # of the journal: the run itself reports it
                await act()
            await asyncio.sleep(each_s)

    repeating = asyncio.create_task(repeat())
    try:
        yield
    finally:
        repeating.cancel()
        with suppress(asyncio.CancelledError):
            await repeating


@contextmanager
def _moving_screen() -> Iterator[_MovingScreen]:
    screen = _MovingScreen()
    screen.start()
    try:
        yield screen
    finally:
        screen.stop()


class _MovingScreen:
    """The last lines of the terminal, drawn over themselves."""

    most_names = 12

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, markup=False, emoji=False, highlight=False)
        self._live = self._new_live()
        self._asides = 0

    def _new_live(self) -> Live:
        from rich.live import Live

        return Live(
            console=self._console,
            transient=True,  # the summary takes its place
            auto_refresh=False,  # the loop draws, so that a busy loop is seen
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="ellipsis",
        )

    def draw(self, lines: Callable[[Look], Sequence[str]]) -> None:
        from rich.text import Text

        encoding = (self._console.encoding or "").lower()
        look = Look(width=self._console.width, is_plain=not encoding.startswith("utf"))
        text = "\n".join(lines(look))
        with suppress(OSError, ValueError):  # a closed terminal is no reason to lose paid tasks
            self._live.update(Text(text, no_wrap=True, overflow="crop"), refresh=True)

    @contextmanager
    def aside(self) -> Iterator[None]:
        if not self._asides:
            self.stop()
        self._asides += 1  # a Ctrl-C has something to say while an outcome is printed
        try:
            yield
        finally:
            self._asides -= 1
            if not self._asides:
                self.start()

    def start(self) -> None:
        # A new one: a used one goes up as many lines as it had, over what was printed since.
        self._live = self._new_live()
        with suppress(OSError, ValueError):
            self._live.start()

    def stop(self) -> None:
        with suppress(OSError, ValueError):
            self._live.stop()
