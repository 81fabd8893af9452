"""The journal of a killed batch is damaged, and nothing is paid twice or lost; ``nox -s crash``.

Faults 26, 27, 28, 29, 65, 68, 87, 88, each at random places after a SIGKILL in the midst of work.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from random import Random

import pytest
from attrs import evolve

from kling_effects_async.journal.job import JobState
from tests.crash.damage import DamageTally
from tests.crash.harms import HARMS
from tests.crash.incidents import INCIDENTS
from tests.crash.messages import SENTENCES
from tests.support.harness import numbers_in, output_of_harness
from tests.support.journal_files import job

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the harness forks its processes")


@pytest.mark.waits
def test_a_damaged_batch_is_finished_as_the_messages_say(tmp_path: Path) -> None:
    """Each kind of damage once, and what must be told is told."""
    rounds = len(INCIDENTS)
    told = output_of_harness(
        "tests.crash", "--damage", "--rounds", rounds, "--seed", 1, folder=tmp_path
    )
    numbers = numbers_in(told, "damage")
    assert numbers["rounds"] == rounds
    assert numbers["finished"] + numbers["listed"] == numbers["jobs"] > 0
    assert numbers["duplicates"] == numbers["lost"] == numbers["wrong"] == 0
    assert re.search("two-owners: .*JournalBusyError", told)
    assert re.search("fork: .*child: RuntimeError", told)


# -- the referee sees what it is there for


def test_a_job_that_is_charged_for_twice_or_gone_is_seen() -> None:
    done = job("a", state=JobState.SUCCEEDED, task_id="1")
    jobs = {
        "a": done,
        "b": evolve(done, external_task_id="b", task_id="9"),
        "c": evolve(done, external_task_id="c", state=JobState.UNCERTAIN),
        "d": evolve(done, external_task_id="d", state=JobState.ACCEPTED),
    }
    tally = DamageTally()
    tally.see_jobs("abcde", jobs, {"a": ["1", "2"], "b": ["3"], "d": ["1"]})
    assert (tally.duplicates, tally.lost) == (["a"], ["b", "d", "e"])
    assert (tally.jobs, tally.finished, tally.listed, tally.is_right) == (5, 1, 1, False)


@pytest.mark.parametrize(
    ("incident", "said"),
    [
        ("full", [("JournalFullError", "disk I/O error")]),  # which says nothing to do
        ("full", [("KeyError", "submit nothing until there is room")]),
        ("clock", [("JournalBusyError", SENTENCES["JournalBusyError"][0])]),
        ("clock", [("stuck", "exit code 5")]),
        ("two-owners", []),
        ("log", [("rows lost", "order-42")]),
    ],
)
def test_a_message_that_is_wrong_or_missing_is_seen(
    incident: str, said: list[tuple[str, str]]
) -> None:
    tally = DamageTally()
    tally.see_messages(INCIDENTS[incident], said)
    assert len(tally.wrong) == 1
    assert not tally.is_right


def test_a_message_that_says_what_to_do_is_right() -> None:
    tally = DamageTally()
    warning = ("warning", f"lost 2 commits, so {SENTENCES['warning'][0]}")
    tally.see_messages(INCIDENTS["log"], [("rows lost", "order-42"), warning, ("working", "")])
    assert tally.is_right
    assert tally.said["log", "warning"] == 1


@pytest.mark.parametrize("harm", HARMS)
def test_a_harm_is_drawn_alike_from_the_same_seed(tmp_path: Path, harm: str) -> None:
    """The seed is printed, so that a round can be looked at again."""
    assert harmed(tmp_path / "1", harm) == harmed(tmp_path / "2", harm)


def harmed(folder: Path, harm: str) -> dict[str, bytes]:
    folder.mkdir()
    for suffix in ("", "-wal", "-shm"):
        (folder / f"jobs.db{suffix}").write_bytes(bytes(range(256)))
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    HARMS[harm](folder / "jobs.db", Random(7))
    after = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert after != before
    return after
