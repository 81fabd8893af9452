"""Where a video goes: decided, and rejected if need be, before anything is sent."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain, product
from pathlib import Path

from attrs import frozen

from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.downloading.file_names import safe_name
from kling_effects_async.downloading.replaceable import irreplaceable_kind, odd_side_file

__all__ = ["OutputPath", "obstacle_to", "reject_kept"]

# Half a line of a terminal: enough to know the name by, and its reason still fits.
_SHOWN_LETTERS = 40
# SQLite's own side files (sqlite.org, "Temporary Files Used By SQLite"), then ours.
_OF_A_JOURNAL = ("", "-wal", "-shm", "-journal", ".lock", ".damaged")
_OF_A_VIDEO = ("", ".part", ".part.json")


@frozen
class OutputPath:
    """The values of ``--output`` and ``--overwrite``.

    Attributes:
        file_or_folder: a file, or the folder for a new one.
        is_chosen: it was given; otherwise it is the working folder.
        is_stdout: the clip goes to stdout, and to no file.
    """

    file_or_folder: Path
    is_folder: bool
    overwrite: bool
    is_chosen: bool = True
    is_stdout: bool = False

    @classmethod
    def given(cls, output: str | None, *, overwrite: bool) -> OutputPath:
        """From the options: a folder is what is one, or ends in a slash; nothing: this folder."""
        if output is None:
            return cls(Path(), is_folder=True, overwrite=overwrite, is_chosen=False)
        if output == "-":
            return cls(Path("-"), is_folder=False, overwrite=overwrite, is_stdout=True)
        is_folder = output.endswith(("/", os.sep)) or os.path.isdir(output)
        return cls(Path(output), is_folder=is_folder, overwrite=overwrite)

    def path(self, name: str) -> Path:
        """The file; ``name`` (scene and task id) is what it is called if only a folder is given."""
        return self.file_or_folder / safe_name(name) if self.is_folder else self.file_or_folder

    @property
    def known_path(self) -> Path | None:
        """The file; ``None`` while its name depends on the task."""
        return None if self.is_folder or self.is_stdout else self.file_or_folder

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
        if self.overwrite or self.is_stdout or (name is None and self.is_folder):
            return False
        return os.path.lexists(self.path(name or ""))

    def check_folder(self, name: str | None = None) -> None:
        """Reject what no file can be written to, or what no file may replace. Blocks.

        Raises:
            Failure: says what is in the way, or that there is no folder to begin with.
        """
        if self.is_stdout:
            return
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


def obstacle_to(path: Path) -> str | None:
    """Why no video can be written to ``path``, as the end of a sentence; ``None`` if one can be.

    Blocks. Missing folders are made by the download; here only their names are looked at.
    """
    trial = path.with_name(f"{path.name}.part.{secrets.token_hex(2)}")  # as long as ".part.json"
    parents = path.absolute().parents
    folder = next(parent for parent in parents if os.path.lexists(parent))
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} is no folder you may write to"
    missing = [parent.name for parent in parents if not os.path.lexists(parent)]
    if long := _too_long(folder, [trial.name, *missing]):
        return f"the name {long[:_SHOWN_LETTERS]}... is too long for this folder"
    if len(os.fsencode(trial)) >= _limit(folder, "PC_PATH_MAX"):  # which counts a closing NUL
        return f"the path {str(path)[:_SHOWN_LETTERS]}... is too long"
    return _rejection(folder / trial.name)


def _too_long(folder: Path, names: list[str]) -> str | None:
    limit = _limit(folder, "PC_NAME_MAX")
    return next((name for name in names if len(os.fsencode(name)) > limit), None)


def _limit(folder: Path, name: str) -> float:
    """One of the folder's limits in bytes; infinite where it states none."""
    try:
        limit = os.pathconf(folder, name)
    except (AttributeError, OSError, ValueError):  # Windows has no pathconf
        return float("inf")
    return limit if limit > 0 else float("inf")


def _rejection(trial: Path) -> str | None:
    """Why the system rejects a new file of this name; ``None``: it does not."""
    try:
        # Tried and not asked for: quotas, read-only mounts and odd letters show in no flag. O_EXCL,
        # so that a file that is there is never touched.
        os.close(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        trial.unlink()
    except OSError as error:
        return f"{trial.parent} takes no such file: {error.strerror}"
    return None


def reject_kept(
    video: Path | None, *, journal: str | None = None, images: Iterable[str] = ()
) -> None:
    """Reject names that would have one file replace another. Blocks.

    The journal that ``KLING_JOURNAL`` names is kept too, whether this command uses it or not.

    Args:
        video: where it goes; ``None`` if its name is not known yet.
        images: as given; URLs among them are no files.

    Raises:
        Failure: names the two.
    """
    names = {name for name in (journal, os.environ.get("KLING_JOURNAL")) if name}
    journals = [(f"the journal {name}", _beside(name, _OF_A_JOURNAL)) for name in sorted(names)]
    pictures = [(f"the picture {name}", [name]) for name in images]
    videos = [(f"the output {video}", _beside(str(video), _OF_A_VIDEO))] if video else []
    pairs = chain(product(videos, [*journals, *pictures]), product(pictures, journals))
    for (one, files), (other, kept) in pairs:
        if any(_is_same(*two) for two in product(files, kept)):
            sentence = f"{one} and {other} would use the same file: choose another name"
            raise Failure(ExitCode.REJECTED_HERE, [sentence])


def _beside(name: str, suffixes: Iterable[str]) -> list[str]:
    return [name + suffix for suffix in suffixes]


def _is_same(one: str, other: str) -> bool:
    """Whether two names lead to one file, or will as soon as it is there."""
    with suppress(OSError, ValueError):  # one is missing; a NUL in the name
        if os.path.samefile(one, other):
            return True
    with suppress(OSError, ValueError):
        return os.path.realpath(one) == os.path.realpath(other)
    return False
