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
        path = self.path(name or "new")
        is_known = name is not None or not self.is_folder
        if is_known and os.path.lexists(path) and not self.overwrite:
            raise _refused(f"{path} exists already: choose another --output, or --overwrite it")
        folder = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise _refused(f"{path} cannot be written: {folder} is no folder you may write to")


def _refused(sentence: str) -> Failure:
    return Failure(ExitCode.REFUSED_HERE, [sentence])
