"""What is wrong with the rows, and what was left out of them: values, collected before a run."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from attrs import frozen

from kling_effects_async.cli.failures import ExitCode, Failure

__all__ = ["MAX_SHOWN", "Kept", "LeftOut", "Problem", "problems_failure"]

# A screen of 24 lines has room for them, for the number of the others, and for what to do.
MAX_SHOWN = 20


@frozen
class Problem:
    """One thing to correct.

    Attributes:
        where: the line or the file, such as "photos.csv:17".
        text: what is wrong there, and what to do.
    """

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


class Kept(enum.Enum):
    """Why a file of a folder is no row; the value names one, and several."""

    HIDDEN = "hidden file", "hidden files"
    OURS = "file of this run's own", "files of this run's own"
    TO_PREPARE = "picture that --prepare converts", "pictures that --prepare converts"
    OTHER = "file that is no picture", "files that are no pictures"
    FOLDER = "folder that is not entered", "folders that are not entered"


@frozen
class LeftOut:
    """A file or folder that was found and is no row.

    Attributes:
        why: the reason.
        path: as it is shown.
    """

    why: Kept
    path: str


def problems_failure(problems: Sequence[Problem], count: int) -> Failure:
    """How the command ends on problems: those that are shown, and the number of the others.

    Args:
        problems: the first ones, at least one and at most ``MAX_SHOWN``.
        count: how many there are in all.
    """
    lines = [str(problem) for problem in problems]
    others = count - len(lines)
    if others:
        lines.append(f"and {others:,} more problem{'s' if others > 1 else ''}.")
    lines.append("Nothing was sent. Correct this, and run the same command again.")
    return Failure(ExitCode.REJECTED_HERE, lines)
