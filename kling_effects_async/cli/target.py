"""Where a video goes: decided, and refused if need be, before anything is sent."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import frozen

from kling_effects_async.cli.exit_codes import ExitCode
from kling_effects_async.cli.failure import Failure
from kling_effects_async.transport.file_names import safe_name

__all__ = ["Target"]


@frozen
class Target:
    """What ``--output`` and ``--overwrite`` said.

    Attributes:
        place: a file, or the folder for a new one.
    """

    place: Path
    is_folder: bool
    overwrite: bool

    @classmethod
    def given(cls, output: str | None, *, overwrite: bool) -> Target:
        """From the options: a folder is what is one, or ends in a slash; nothing: this folder."""
        if output is None:
            return cls(Path(), is_folder=True, overwrite=overwrite)
        is_folder = output.endswith(("/", os.sep)) or os.path.isdir(output)
        return cls(Path(output), is_folder=is_folder, overwrite=overwrite)

    def path(self, name: str) -> Path:
        """The file; ``name`` (scene and task id) is what it is called if only a folder is given."""
        return self.place / safe_name(name) if self.is_folder else self.place

    def check(self, name: str | None = None) -> None:
        """Refuse a file that is there already, or cannot be written.

        Args:
            name: as in ``path``; ``None`` where it is not known yet.

        Raises:
            Failure: says what is in the way.
        """
        if self.is_taken(name):
            path = self.path(name or "")
            raise _refused(f"{path} exists already: choose another --output, or --overwrite it")
        self.check_folder()

    def is_taken(self, name: str | None) -> bool:
        """Whether its file is there already, and is to stay."""
        if self.overwrite or (name is None and self.is_folder):
            return False
        return os.path.lexists(self.path(name or ""))

    def check_folder(self) -> None:
        """Refuse a folder that cannot be written.

        Raises:
            Failure: says which folder is in the way, or that there is none to begin with.
        """
        path = self.path("new")
        try:
            parents = path.absolute().parents
        except FileNotFoundError:
            what = "the working folder is gone: change to one that exists, or give a whole --output"
            raise _refused(what) from None
        folder = next(parent for parent in parents if os.path.lexists(parent))
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            what = "the video" if self.is_folder else str(path)
            raise _refused(f"{what} cannot be saved: {folder} is no folder you may write to")


def _refused(sentence: str) -> Failure:
    return Failure(ExitCode.REFUSED_HERE, [sentence])
