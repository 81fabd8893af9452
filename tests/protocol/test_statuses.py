"""What a status word means, and which of several counts."""

from __future__ import annotations

import pytest

from kling_effects_async.models import TaskStatus
from kling_effects_async.protocol.statuses import WORD_OF_A_CLIP, status_of, status_word


@pytest.mark.parametrize("word", ["succeed", "SUCCEED", " Succeed\n"])
def test_case_and_white_space_of_a_word_mean_nothing(word: str) -> None:
    assert status_of(word) is TaskStatus.SUCCEEDED


@pytest.mark.parametrize("word", ["", "?", "succeeding", "no succeed", "None"])
def test_a_word_that_is_not_in_the_table_is_never_final(word: str) -> None:
    """Fault 36."""
    assert status_of(word) is TaskStatus.UNKNOWN
    assert not status_of(word).is_final


@pytest.mark.parametrize(
    "status", [status for status in TaskStatus if status is not TaskStatus.UNKNOWN]
)
def test_every_status_has_its_own_name_as_a_word(status: TaskStatus) -> None:
    assert status_of(status.value) is status


@pytest.mark.parametrize(
    ("candidates", "word"),
    [
        (["FAILURE", "processing"], "FAILURE"),  # a gateway's sweep
        (["processing", "SUCCESS", "failed"], "SUCCESS"),
        (["QUEUED", None, "processing"], "processing"),
        (["processing", "resting"], "processing"),
        (["resting", "dozing"], "dozing"),
        ([None, "", 7, " succeed "], "succeed"),
        ([], ""),
    ],
)
def test_the_outermost_final_word_counts_else_the_innermost_known(
    candidates: list[object], word: str
) -> None:
    assert status_word(candidates) == word


def test_a_clip_without_a_word_is_a_success() -> None:
    assert status_of(WORD_OF_A_CLIP) is TaskStatus.SUCCEEDED
