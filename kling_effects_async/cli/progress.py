"""How a wait is shown: nothing, a line for each change, or one moving line on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Protocol

from kling_effects_async.cli.console import one_line, say

__all__ = ["Progress", "shown_progress"]

# Enough for a spinner to be seen turning, for minutes; rich's own default is twice as often.
_REFRESHES_PER_S = 5


class Progress(Protocol):
    """Shows how far a command is."""

    def show(self, change: str) -> None:
        """Show what has changed."""

    def show_download(self, done_bytes: int, total_bytes: int | None) -> None:
        """Show how far the download is."""

    def aside(self) -> AbstractContextManager[object]:
        """Within the block the screen is free for other lines."""


class _Silence:
    def show(self, change: str) -> None:
        """Shows nothing."""

    def show_download(self, done_bytes: int, total_bytes: int | None) -> None:
        """Shows nothing."""

    def aside(self) -> AbstractContextManager[object]:
        return nullcontext()


class _Lines(_Silence):
    """For logs: a line for each change, and none for a download's bytes."""

    def show(self, change: str) -> None:
        say(change)


@contextmanager
def shown_progress(*, is_silent: bool) -> Iterator[Progress]:
    """The progress for this stderr; a moving line is gone again after the block."""
    if is_silent or sys.stderr is None:
        yield _Silence()
    elif not sys.stderr.isatty():
        yield _Lines()
    else:
        with _moving_line() as progress:
            yield progress


@contextmanager
def _moving_line() -> Iterator[Progress]:
    from rich import progress as rich
    from rich.console import Console
    from rich.markup import escape

    columns = (
        rich.SpinnerColumn(),
        rich.TextColumn("{task.description}"),
        rich.TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    bars = rich.Progress(
        *columns,
        console=console,
        # The line of what was made takes its place.
        transient=True,
        refresh_per_second=_REFRESHES_PER_S,
        redirect_stdout=False,  # to stderr, that is, and stdout may be a file
    )
    line = bars.add_task("", total=None)

    class _MovingLine:
        def show(self, change: str) -> None:
            bars.update(line, description=escape(one_line(change)))

        def show_download(self, done_bytes: int, total_bytes: int | None) -> None:
            total = f" of {total_bytes / 1e6:.1f}" if total_bytes else ""
            self.show(f"downloading {done_bytes / 1e6:.1f}{total} MB")

        @contextmanager
        def aside(self) -> Iterator[None]:
            _drawn(bars.stop)
            try:
                yield
            finally:
                _drawn(bars.start)

    _drawn(bars.start)
    try:
        yield _MovingLine()
    finally:
        _drawn(bars.stop)


def _drawn(draw: Callable[[], None]) -> None:
    """Draw; a terminal that was closed meanwhile is no reason to lose a paid task."""
    with suppress(OSError, ValueError):
        draw()
