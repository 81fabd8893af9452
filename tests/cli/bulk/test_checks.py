"""The pass over all rows before anything is sent: what it counts, shows and warns of."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
from attrs import evolve

from kling_effects_async import Service, SingleImageEffect, check_image
from kling_effects_async.cli.bulk.checks import check_rows
from kling_effects_async.cli.bulk.row import Row, prepared
from kling_effects_async.cli.bulk.row_maker import Defaults
from kling_effects_async.cli.bulk.sources import read_rows
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.errors import ImageRejectedError
from tests.support.manifests import SQUISH, checked, problems, rows_of, written
from tests.support.pictures import encoded, gradient

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="other files there")
PREPARED = evolve(SQUISH, is_to_prepare=True)


def test_the_first_twenty_problems_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    lines = [f"https://x.y/{number},a b" for number in range(2, 40)]
    found = checked(written(tmp_path / "t.csv", "image,id\n" + "\n".join(lines)))
    failure = found.failure()
    assert failure is not None
    assert failure.code is ExitCode.REJECTED_HERE
    *shown, others, advice = failure.lines
    assert [line.split(":")[1] for line in shown] == [str(number) for number in range(2, 22)]
    assert others == "and 18 more problems."
    assert advice == "Nothing was sent. Correct this, and run the same command again."
    assert (found.rows, found.problem_count) == (0, 38)


def test_rows_without_problems_are_no_failure(cat: Path, tmp_path: Path) -> None:
    content = f"image,scene\n{cat},\n{cat},squish\n{cat},Fuzzy Fuzzy\nhttps://x.y/a.png,squish\n"
    found = checked(written(tmp_path / "t.csv", content), with_pictures=True)
    assert found.failure() is None
    assert found.rows == 4
    assert found.scenes == {"squish": 3, "fuzzyfuzzy": 1}


def test_an_unknown_scene_is_a_warning_and_said_once(tmp_path: Path) -> None:
    content = "image,scene\nhttps://x.y/a.png,squihs\nhttps://x.y/b.png,squihs\n"
    found = checked(written(tmp_path / "t.csv", content))
    assert found.problems == ()
    assert found.warnings == (
        "scene 'squihs' is in no known list; it is sent as it is; did you mean 'squish'?",
    )


def test_an_ended_scene_is_a_warning_where_the_service_may_reject_it(cat: Path) -> None:
    ended = Defaults(scene="hug", service=Service.official("singapore"))
    assert checked("https://x.y/a.png", defaults=evolve(ended, scene="expansion")).warnings
    assert checked("https://x.y/a.png", defaults=SQUISH).warnings == ()


def test_a_mode_that_no_row_can_have_is_a_problem(cat: Path, tmp_path: Path) -> None:
    (found,) = problems(cat, defaults=evolve(SQUISH, mode="pro"))
    assert found == "--mode: it is for scenes with two images: leave it out."
    pair = written(tmp_path / "t.csv", f"scene,left,right\nhug,{cat},{cat}\n")
    assert problems(cat, pair, defaults=evolve(SQUISH, mode="pro")) == []


def test_pictures_are_opened_on_wish_alone(cat: Path, tmp_path: Path) -> None:
    (tmp_path / "small.png").write_bytes(encoded(gradient(50, 50), "PNG"))
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "cat.jpg").write_bytes(cat.read_bytes())
    assert problems(tmp_path) == []
    small, text = problems(tmp_path, with_pictures=True)
    assert small.startswith(f"{tmp_path}/small.png: It measures 50 x 50 px, and Kling wants ")
    assert text.startswith(f"{tmp_path}/text.jpg: It is no image of a known kind; ")


def test_pictures_of_a_manifest_are_named_by_line_and_column(cat: Path, tmp_path: Path) -> None:
    (tmp_path / "small.png").write_bytes(encoded(gradient(50, 50), "PNG"))
    path = written(tmp_path / "t.csv", f"scene,left,right\nhug,{cat},small.png\nhug,nope,{cat}\n")
    one, other = problems(path, with_pictures=True)
    assert one.startswith(f"{path}:2: column right: small.png: It measures 50 x 50 px")
    assert other.startswith(f"{path}:3: column left: nope: there is no such file.")


def test_what_can_be_converted_is_no_problem_where_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "small.webp").write_bytes(encoded(gradient(50, 50), "WebP"))
    (tmp_path / "torn.png").write_bytes(encoded(gradient(), "PNG")[:300])
    (found,) = problems(tmp_path, defaults=PREPARED, with_pictures=True)
    assert found.startswith(f"{tmp_path}/torn.png: It is damaged")


def test_rows_are_counted_in_order_while_pictures_are_read(cat: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "image\n" + f"{cat}\n" * 100)
    seen: list[int] = []
    with read_rows([path], SQUISH) as rows:
        check_rows(rows, with_pictures=True, on_row=seen.append)
    assert seen == list(range(1, 101))


def test_a_check_that_is_stopped_leaves_no_thread_behind(cat: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "image\n" + f"{cat}\n" * 100)
    before = threading.active_count()

    def stop(_count: int) -> None:
        raise KeyboardInterrupt

    with read_rows([path], SQUISH) as rows, pytest.raises(KeyboardInterrupt):
        check_rows(rows, with_pictures=True, on_row=stop)
    assert threading.active_count() == before


@POSIX
def test_a_pipe_is_no_picture_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    (found,) = problems(tmp_path, with_pictures=True)
    assert found == f"{tmp_path}/a.png: it is no file, but a pipe or a device."


def test_a_row_is_prepared_as_a_single_picture_is(cat: Path, tmp_path: Path) -> None:
    (tmp_path / "small.webp").write_bytes(encoded(gradient(50, 50), "WebP"))
    (row,) = rows_of(tmp_path, defaults=PREPARED)
    done = prepared(row)
    assert isinstance(done.effect, SingleImageEffect)
    assert isinstance(done.effect.image, bytes)
    check_image(done.effect.image)
    assert done.sources == row.effect.images
    assert len(done.changes) >= 2
    assert prepared(done) is done
    (sound,) = rows_of(cat, defaults=PREPARED)
    assert prepared(sound).effect == sound.effect


def test_a_row_that_cannot_be_prepared_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    (row,) = rows_of(tmp_path, defaults=PREPARED)
    with pytest.raises(ImageRejectedError, match=r"^a\.png: It is no image of a known kind"):
        prepared(row)


def test_a_row_is_an_item_of_a_run(cat: Path) -> None:
    row = Row(SingleImageEffect("squish", image=cat), external_task_id="o-1", where="x")
    assert row.sources == (cat,)
