"""The simulator in small, and that it can fail; ``nox -s simulate`` runs all of it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.simulation.clips import CLIP_FAULTS
from tests.simulation.folder import ClipFolder
from tests.simulation.loop import DiedError
from tests.simulation.planted import Planted, planted_rules, search
from tests.simulation.run import run
from tests.simulation.script import Event, Script
from tests.simulation.search import random_script, simpler
from tests.simulation.world import World
from tests.support.command_line import clean_environment

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "kling_effects_async"

pytestmark = pytest.mark.skipif(not PACKAGE.is_dir(), reason="the package's sources are not here")


def test_some_lives_pay_once_and_lose_nothing(tmp_path: Path) -> None:
    """Faults 6, 7, 8, 11, 21, 23, 24, 25, 32, 86: in a process of its own, as its dead complain."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--few"],
        cwd=ROOT,
        env=clean_environment(tmp_path, PYTHONPATH=os.pathsep.join(sys.path)),
        capture_output=True,
        text=True,
        check=False,
    )
    last_line = ended.stdout.splitlines()[-1]
    lives = int(last_line.partition(" lives")[0].replace(",", ""))
    assert (ended.returncode, lives > 300) == (0, True), ended.stdout
    assert last_line.endswith(" crash points, 0 paid twice, 0 lost")


@pytest.mark.parametrize("planted", planted_rules(), ids=lambda planted: planted.rule)
def test_each_planted_rule_stands_where_it_is_said_to(planted: Planted) -> None:
    source = (PACKAGE / planted.path).read_text("utf-8")
    assert source.count(planted.old) == 1
    assert planted.new != planted.old


def test_there_are_twelve_planted_rules_or_more() -> None:
    assert len({planted.rule for planted in planted_rules()}) >= 12


def test_a_planted_rule_is_found() -> None:
    broken = next(p for p in planted_rules() if p.rule.startswith("what a killed process"))
    assert "paid twice" in search(broken, "--few")


@pytest.mark.parametrize("is_real", [False, True], ids=["model", "SQLite"])
def test_the_same_script_is_the_same_run(is_real: bool, tmp_path: Path) -> None:
    script = Script(jobs=3, submits=("after: lost", "", "before: 500"), seed=7, is_real=is_real)
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    first, second = (run(script, folder) for folder in folders)
    assert first.violations == ()
    assert (first.lives, first.points > 20) == (2, True)
    if not is_real:  # a thread takes its own time
        assert first == second


def test_a_process_dies_between_any_two_steps_at_a_file(tmp_path: Path) -> None:
    seen = []
    for number in range(1, 5):
        path = tmp_path / str(number)
        path.mkdir()
        world = World(Script())
        folder = ClipFolder(world, path, lambda: None)
        other = os.open(tmp_path, os.O_RDONLY)
        folder.begin_life()
        os.close(other)  # the dead get its number
        world.begin(Event("die", number), lambda _kind: None)
        with suppress(DiedError):
            folder.in_thread(partial(_write_and_name, path))
        folder.after_death()
        assert not _is_locked(path / "part")
        seen.append({file.name: file.read_bytes() for file in path.iterdir()})
    assert seen == [
        {},
        {"part": b""},
        {"part": b"clip"},
        {"part": b"clip", "clip": b"clip"},
    ]


def _write_and_name(folder: Path) -> None:
    descriptor = os.open(folder / "part", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, b"clip")
    os.link(folder / "part", folder / "clip")
    (folder / "part").unlink()


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.parametrize("fault", CLIP_FAULTS)
def test_a_clip_is_whole_whatever_goes_wrong_with_its_download(fault: str, tmp_path: Path) -> None:
    """Faults 50, 52: first it is cut, then this."""
    assert run(Script(downloads=("cut", fault), seed=5), tmp_path).violations == ()
    clips = sorted(file.suffix for file in (tmp_path / "clips").iterdir())
    assert clips == [".mp4", ".mp4"]  # of the job, and of the one from before


def test_another_seed_is_another_run() -> None:
    results = [run(Script(jobs=3, seed=seed)) for seed in range(1, 9)]
    assert len({result.steps for result in results}) > 1


def test_a_script_is_read_as_it_was_written() -> None:
    for seed in range(50):
        script = random_script(seed)
        assert Script.from_json(script.to_json()) == script


def test_a_script_that_fails_whatever_is_left_of_it_shrinks_to_nothing() -> None:
    script = random_script(3)
    for _step in range(1000):
        smaller = next(simpler(script), None)
        if smaller is None:
            break
        assert smaller != script
        script = smaller
    assert script == Script()
