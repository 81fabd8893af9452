"""How long tasks took: quantiles and histogram."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async.report.duration_chart import duration_chart
from kling_effects_async.report.durations import durations, quantile

some = st.lists(st.floats(0, 100_000), min_size=2, max_size=200)


def test_nothing_is_known_of_no_task() -> None:
    assert durations([]) is None


@given(some)
def test_quantiles_are_those_of_the_standard_library(took_s: list[float]) -> None:
    ours = [quantile(sorted(took_s), tenth / 10) for tenth in range(1, 10)]
    theirs = statistics.quantiles(took_s, n=10, method="inclusive")
    assert all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(ours, theirs, strict=True))


@given(some)
def test_every_task_is_in_one_column(took_s: list[float]) -> None:
    found = durations(took_s)
    assert found is not None
    assert sum(column.count for column in found.columns) == len(took_s)
    assert len(found.columns) <= 27
    for one, next_one in pairwise(found.columns):
        assert math.isclose(one.end_s, next_one.start_s)


def test_one_late_task_does_not_flatten_the_others() -> None:
    found = durations([*range(200, 300), 36_000])
    assert found is not None
    assert (found.columns[-1].end_s, found.columns[-1].count) == (math.inf, 1)
    assert max(column.count for column in found.columns) <= 6
    assert found.longest_s == 36_000


def test_durations_that_are_all_the_same_are_a_sentence() -> None:
    found = durations([240.0] * 3)
    assert found is not None
    chart = duration_chart(found)
    assert "<svg" not in chart
    assert "3 tasks: p10 4 min, p50 4 min, p90 4 min, longest 4 min." in chart
