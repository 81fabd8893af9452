"""A short soak test, and what its referee sees; ``nox -s soak`` goes on for as long as you like."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

import pytest
from attrs import evolve

from kling_effects_async.journal.job import JobState
from tests.soak.__main__ import MAX_BLOCKS, MAX_OPEN_BLOCKS, Growth, growth, report
from tests.soak.measures import Held, Sample, held_now, slope, slope_within
from tests.soak.part import Totals, verdict
from tests.support.harness import numbers_in, output_of_harness
from tests.support.journal_files import job

NOTHING = Held(0, 0, 0)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")


@pytest.mark.waits
@linux_only
def test_a_short_soak_loses_doubles_and_leaves_nothing(tmp_path: Path) -> None:
    told = output_of_harness("tests.soak", "--seconds", 2, "--seed", 1, folder=tmp_path)
    numbers = numbers_in(told, "soak")
    assert numbers["done"] > 0
    assert numbers["lost"] == numbers["doubled"] == 0
    assert set(numbers_in(told, "left").values()) == {0}


def test_a_job_that_is_charged_for_twice_or_not_finished_is_seen() -> None:
    done = job("a", state=JobState.SUCCEEDED, task_id="1")
    jobs = {
        "a": done,
        "b": evolve(done, external_task_id="b", task_id="9"),
        "c": evolve(done, external_task_id="c", state=JobState.UNCERTAIN),
        "d": evolve(done, external_task_id="d", state=JobState.ACCEPTED),
        "e": evolve(done, external_task_id="e", state=JobState.FAILED),
    }
    tasks = {"a": ["1", "2"], "b": ["3"], "d": ["1"], "e": ["1"], "f": ["4"]}
    totals = Totals()
    verdict(totals, jobs, tasks)
    assert (totals.doubled, sorted(totals.lost), totals.uncertain) == (["a"], ["b", "d", "f"], 1)


@pytest.mark.parametrize(
    ("totals", "tasks", "left", "grown"),
    [
        (Totals(lost=["a"]), 0, NOTHING, Growth()),
        (Totals(doubled=["a"]), 0, NOTHING, Growth()),
        (Totals(unclosed=1), 0, NOTHING, Growth()),
        (Totals(), 1, NOTHING, Growth()),
        (Totals(), 0, Held(1, 0, 0), Growth()),
        (Totals(), 0, Held(0, 1, 0), Growth()),
        (Totals(), 0, Held(0, 0, 1), Growth()),
        (Totals(), 0, NOTHING, Growth(blocks=MAX_BLOCKS + 1)),
        (Totals(), 0, NOTHING, Growth(open_blocks=MAX_OPEN_BLOCKS + 1)),
        (Totals(), 0, NOTHING, Growth(rss_bytes=1e9)),
    ],
)
def test_each_thing_that_must_not_be_makes_the_soak_fail(
    totals: Totals, tasks: int, left: Held, grown: Growth
) -> None:
    assert not report(totals, tasks, left, grown)
    assert report(Totals(), 0, NOTHING, Growth())


@linux_only
def test_an_open_socket_and_a_thread_are_counted() -> None:
    before, end = held_now(), threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    with socket.socket():
        reader, writer = os.pipe()
        assert held_now().beyond(before) == Held(sockets=1, threads=1, descriptors=3)
    os.close(reader)
    os.close(writer)
    end.set()
    thread.join()
    assert held_now().beyond(before) == NOTHING


def test_a_line_is_fitted_to_all_samples() -> None:
    assert slope([(0, 5), (10, 15), (20, 25)]) == pytest.approx(1)
    assert slope([(0, 0), (10, 40), (20, 0)]) == pytest.approx(0)
    assert slope([(3, 1), (3, 2)]) is None
    # Each opening has a level of its own, and grows by two for each task.
    assert slope_within([(1, 0, 0), (1, 1, 2), (2, 9, 0), (2, 10, 2)]) == pytest.approx(2)


def test_growth_is_told_after_the_warm_up_and_not_for_a_few_tasks() -> None:
    samples = [
        Sample(tasks=n, opening=n // 2000, rss_bytes=7 * n, blocks=3 * n + (n < 100) * 10**6)
        for n in range(0, 4000, 10)
    ]
    grown = growth(samples)
    assert grown.blocks == pytest.approx(3000)
    assert grown.open_blocks == pytest.approx(3000)
    short = growth([evolve(one, opening=one.tasks // 500) for one in samples])
    assert (short.blocks, short.open_blocks) == (grown.blocks, None)
    assert grown.rss_bytes == pytest.approx(7000)
    assert growth(samples[:100]) == Growth()
