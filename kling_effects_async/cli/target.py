"""Where a video goes: decided, and rejected if need be, before anything is sent."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import frozen

from kling_effects_async.cli.exit_codes import ExitCode
from kling_effects_async.cli.failure import Failure
from kling_effects_async.cli.new_file import obstacle_to
from kling_effects_async.downloading.file_names import safe_name
from kling_effects_async.downloading.replaceable import irreplaceable_kind, odd_side_file

__all__ = ["Target"]


@frozen
class Target:
    """What ``--output`` and ``--overwrite`` said.

    Attributes:
        file_or_folder: a file, or the folder for a new one.
        is_chosen: somebody named it; else it is the working folder.
    """

    file_or_folder: Path
    is_folder: bool
    overwrite: bool
    is_chosen: bool = True

    @classmethod
    def given(cls, output: str | None, *, overwrite: bool) -> Target:
        """From the options: a folder is what is one, or ends in a slash; nothing: this folder."""
        if output is None:
            return cls(Path(), is_folder=True, overwrite=overwrite, is_chosen=False)
        is_folder = output.endswith(("/", os.sep)) or os.path.isdir(output)
        return cls(Path(output), is_folder=is_folder, overwrite=overwrite)

    def path(self, name: str) -> Path:
        """The file; ``name`` (scene and task id) is what it is called if only a folder is given."""
        return self.file_or_folder / safe_name(name) if self.is_folder else self.file_or_folder

    @property
    def known_path(self) -> Path | None:
        """The file; ``None`` while its name depends on the task."""
        return None if self.is_folder else self.file_or_folder

    def check(self, name: str | None = None) -> None:
        """Reject a file that is there already, or cannot be written. Blocks.

        Args:
            name: as in ``path``; ``None`` where it is not known yet.

        Raises:
            Failure: says what is in the way.
        """
        self.check_folder(name)
        if self.is_taken(name):
            path = self.path(name or "")
            raise _rejected(f"{path} exists already: choose another --output, or --overwrite it")

    def is_taken(self, name: str | None) -> bool:
        """Whether its file is there already, and is to stay."""
        if self.overwrite or (name is None and self.is_folder):
            return False
        return os.path.lexists(self.path(name or ""))

    def check_folder(self, name: str | None = None) -> None:
        """Reject what no file can be written to, or what no file may replace. Blocks.

        Raises:
            Failure: says what is in the way, or that there is no folder to begin with.
        """
        path = self.path(name or "new")
        if kind := irreplaceable_kind(path):
            raise _rejected(f"{path} is a {kind}, not a file: choose another --output")
        if odd := odd_side_file(path):
            raise _rejected(odd)
        try:
            obstacle = obstacle_to(path)
        except FileNotFoundError:
            what = "the working folder is gone: change to one that exists, or give a whole --output"
            raise _rejected(what) from None
        if obstacle is not None:
            raise _rejected(f"the video cannot be saved: {obstacle}")


def _rejected(sentence: str) -> Failure:
    return Failure(ExitCode.REJECTED_HERE, [sentence])
