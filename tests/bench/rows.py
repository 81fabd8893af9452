"""What is measured, and the bars beside it."""

from __future__ import annotations

from attrs import evolve, frozen

from tests.bench.orders import Order
from tests.bench.ours.helps import COMMANDS

__all__ = ["POLLS", "ROWS", "Bar", "Row"]


@frozen
class Bar:
    """How good a figure ought to be; printed, never asserted.

    Attributes:
        is_ratio: it bounds ours by plain's, and not ours itself.
        is_least: it is a lower bound.
    """

    figure: str
    limit: float
    is_ratio: bool = False
    is_least: bool = False


@frozen(kw_only=True)
class Row:
    """One piece of work, done by both sides.

    Attributes:
        letter: what ``--rows`` calls it; several rows may share one.
        batch: which of ours it shows, where one client did several.
        repeats: how often it is measured; the median is shown.
        is_calm: its clients sleep nearly all the time, so all calm rows are measured together.
    """

    letter: str
    title: str
    ours: Order
    bars: tuple[Bar, ...] = ()
    batch: int = 0
    repeats: int = 1
    is_calm: bool = False

    @property
    def plain(self) -> Order:
        """The same for the other side, which learns nothing and so needs no second batch."""
        return evolve(self.ours, side="plain", batches=1)


def _ours(kind: str, count: int, **more: object) -> Order:
    return Order(kind=kind, side="ours", count=count, **more)  # type: ignore[arg-type]  # as named there


_SHORT = _ours("tasks", 200, shortest_s=1.5, longest_s=2.5)
_LONG = _ours("tasks", 100, shortest_s=20.0, longest_s=40.0)
_IMPORTS = _ours("imports", 9, batches=2)
_HELPS = _ours("helps", 9, batches=len(COMMANDS))
_LONG_UNLISTED = evolve(_LONG, has_list=False, batches=2)

ROWS = (
    Row(
        letter="a",
        title="200 tasks of 2 s, list",
        ours=_SHORT,
        bars=(Bar("requests", 230), Bar("cpu_s", 0.12), Bar("lag_p95_s", 0.7)),
        repeats=3,
    ),
    Row(
        letter="b",
        title="200 tasks of 2 s, no list",
        ours=evolve(_SHORT, has_list=False),
        bars=(Bar("cpu_s", 0.35), Bar("lag_p95_s", 0.9)),
        repeats=3,
    ),
    Row(
        letter="c",
        title="100 tasks of 20-40 s, list",
        ours=_LONG,
        bars=(Bar("requests", 170), Bar("lag_mean_s", 0.5)),
        is_calm=True,
    ),
    Row(
        letter="c",
        title="100 tasks of 20-40 s, no list, cold",
        ours=_LONG_UNLISTED,
        is_calm=True,
    ),
    Row(
        letter="c",
        title="100 tasks of 20-40 s, no list, learned",
        ours=_LONG_UNLISTED,
        bars=(Bar("requests", 1600), Bar("lag_mean_s", 0.6)),
        batch=1,
        is_calm=True,
    ),
    Row(
        letter="d",
        title="5,000 tasks of 10 s, 500 slots, list",
        ours=_ours("tasks", 5000, shortest_s=8.0, longest_s=12.0, slots=500),
        bars=(Bar("cpu_s", 1.3, is_ratio=True),),
    ),
    Row(
        letter="e",
        title="50 submits of 10 MiB at once",
        ours=_ours("uploads", 50),
        bars=(Bar("peak_mb", 20), Bar("stall_ms", 30), Bar("cpu_s", 1.15, is_ratio=True)),
        repeats=5,
    ),
    Row(
        letter="f",
        title="journal, 64 coroutines",
        ours=_ours("journal", 64),
        bars=(Bar("per_s", 20_000, is_least=True),),
        repeats=3,
    ),
    Row(
        letter="g",
        title="import of the package",
        ours=_IMPORTS,
        bars=(Bar("import_ms", 100),),
    ),
    Row(
        letter="g",
        title="import of the client",
        ours=_IMPORTS,
        batch=1,
    ),
    Row(
        letter="h",
        title="40 downloads of 20 MiB, 8 at once",
        ours=_ours("downloads", 40),
        bars=(Bar("wall_s", 1.1, is_ratio=True),),
        repeats=5,
    ),
    Row(
        letter="i",
        title="a list page of 500 read",
        ours=_ours("page", 500),
        repeats=3,
    ),
    Row(
        letter="j",
        title="6,000 tasks of 5 s, 2,000 slots, list",
        ours=_ours("tasks", 6000, shortest_s=5.0, longest_s=5.0, slots=2000),
        bars=(Bar("requests", 6700), Bar("lag_mean_s", 1.0)),
    ),
    *(
        Row(
            letter="k",
            title=f"{command} --help, beside rich-click".lstrip(),
            ours=_HELPS,
            bars=(Bar("import_ms", 1.2, is_ratio=True), Bar("import_cpu_ms", 1.2, is_ratio=True)),
            batch=number,
        )
        for number, command in enumerate(COMMANDS)
    ),
)

# What --profile looks into.
POLLS = _ours("polls", 50, shortest_s=4.0, longest_s=5.0, has_list=False)
