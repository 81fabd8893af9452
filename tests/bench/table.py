"""The figures as aligned text: row, figure, ours, plain, ratio, bar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tests.bench.measuring import Measured
from tests.bench.rows import Bar

__all__ = ["FIGURES", "aligned", "table"]

# What is shown of the figures, in this order, and with how many decimals.
FIGURES = {
    "wall_s": ("wall s", 2),
    "cpu_s": ("client CPU s", 3),
    "requests": ("requests", 0),
    "rejections": ("rejected for slots", 0),
    "peak_mb": ("peak MB over idle", 1),
    "stall_ms": ("longest stall ms", 1),
    "lag_mean_s": ("lag mean s", 3),
    "lag_p95_s": ("lag p95 s", 3),
    "per_s": ("transitions / s", 0),
    "import_ms": ("import ms", 1),
    "import_cpu_ms": ("import CPU ms", 1),
    "page_ms": ("CPU ms a page", 2),
    "poll_us": ("CPU us a poll", 0),
}

_HEAD = ("row", "", "figure", "ours", "plain", "ratio", "bar", "")


def table(done: Iterable[Measured]) -> str:
    """All rows."""
    lines: list[tuple[str, ...]] = [_HEAD]
    for measured in done:
        lines += _lines(measured)
    return aligned(lines, right={3, 4, 5})


def aligned(lines: Sequence[Sequence[str]], *, right: set[int]) -> str:
    """Columns as wide as their widest cell; those in ``right`` are set to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _lines(measured: Measured) -> Iterator[tuple[str, ...]]:
    letter, title = measured.row.letter, measured.row.title
    if not measured.ours or not measured.plain:
        failed = "ours" if not measured.ours else "plain"
        yield (letter, title, f"{failed} failed, see above", "", "", "", "", "")
        return
    for name, (label, decimals) in FIGURES.items():
        if name not in measured.ours:
            continue
        ours, plain = measured.ours[name], measured.plain.get(name)
        if name == "rejections" and not ours and not plain:
            continue
        yield (
            letter,
            title,
            label,
            f"{ours:,.{decimals}f}",
            "" if plain is None else f"{plain:,.{decimals}f}",
            _ratio(ours, plain),
            *_against_bar(measured, name),
        )
        letter = title = ""


def _ratio(ours: float, plain: float | None) -> str:
    # Memory freed since the start can make less than nothing of a peak.
    return f"{ours / plain:.2f}" if plain and plain > 0 and ours > 0 else ""


def _against_bar(measured: Measured, name: str) -> tuple[str, str]:
    bar = next((bar for bar in measured.row.bars if bar.figure == name), None)
    if bar is None:
        return "", ""
    sign = ">=" if bar.is_least else "<="
    unit = "x" if bar.is_ratio else ""
    return f"{sign} {bar.limit:,g}{unit}", "met" if _is_met(bar, measured) else "NOT MET"


def _is_met(bar: Bar, measured: Measured) -> bool:
    value = measured.ours[bar.figure]
    if bar.is_ratio:
        value /= measured.plain[bar.figure]
    return value >= bar.limit if bar.is_least else value <= bar.limit
