"""The pictures of a folder, and the files of a pattern, always in the same order.

The order is that of people: ``cat2`` before ``cat10``, upper and lower case alike; a folder's own
files come before those of the folders within. The names of one folder are held in memory.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Collection, Iterator
from typing import TypeAlias

from attrs import frozen

from kling_effects_async.cli.bulk.problems import Kept, LeftOut, Problem

__all__ = ["Found", "Walk", "is_pattern", "natural_key"]

Found: TypeAlias = str | LeftOut | Problem

# By their names alone, because to open a million files takes minutes. What Kling takes, and what
# ``kling.prepare`` makes of others; the content is checked before anything is sent.
_TAKEN = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png"))
_CONVERTED = frozenset((".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"))
_UNFINISHED = (".part", ".part.json")
_DIGITS = re.compile(r"[0-9]+")
_LONGEST_NUMBER = 20  # digits; longer ones are compared as text


def natural_key(name: str) -> str:
    """What names are sorted by: numbers as numbers, letters without their case."""
    # With as many zeros in front as make all numbers equally long. One text, and no pair, because
    # a folder may have a million names.
    plain = _DIGITS.sub(lambda digits: digits[0].zfill(_LONGEST_NUMBER), name.casefold())
    return f"{plain}\0{name}"


def is_pattern(text: str) -> bool:
    """Whether this is a pattern such as ``photos/**/*.jpg``, and no file of that very name."""
    return glob.has_magic(text) and not os.path.lexists(text)


@frozen(kw_only=True)
class Walk:
    """How folders are gone through.

    Attributes:
        is_recursive: folders within folders are entered; symbolic links to folders never are.
        is_to_prepare: pictures that have to be converted are taken.
        own: files and folders of this run, such as the output folder, as real absolute paths.
    """

    is_recursive: bool = False
    is_to_prepare: bool = False
    own: Collection[str] = ()

    def folder(self, folder: str) -> Iterator[Found]:
        """The pictures in a folder, and what is left out. Blocks."""
        real = os.path.realpath(folder)
        files, folders = list[str](), list[str]()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    (folders if _is_folder(entry) else files).append(entry.name)
        except OSError as error:
            yield Problem(folder, f"the folder cannot be read: {error.strerror or error}.")
            return
        files.sort(key=natural_key)
        for name in files:
            path = os.path.join(folder, name)
            why = self._why_not(path, os.path.join(real, name))
            yield path if why is None else LeftOut(why, path)
        folders.sort(key=natural_key)
        for name in folders:
            path = os.path.join(folder, name)
            why = self._why_not_entered(path, os.path.join(real, name))
            yield from self.folder(path) if why is None else [LeftOut(why, path)]

    def pattern(self, pattern: str) -> Iterator[Found]:
        """The pictures that a pattern matches; ``**`` stands for any folders. Blocks."""
        for path in sorted(glob.iglob(pattern, recursive=True), key=natural_key):
            real = os.path.realpath(path)
            if not os.path.isdir(path):
                why = self._why_not(path, real)
                yield path if why is None else LeftOut(why, path)
            elif "**" not in pattern:  # otherwise what is in it is matched itself
                yield LeftOut(Kept.FOLDER, path)

    def _why_not_entered(self, path: str, real: str) -> Kept | None:
        if _is_hidden(path):
            return Kept.HIDDEN
        if real in self.own:
            return Kept.OURS
        return None if self.is_recursive and not os.path.islink(path) else Kept.FOLDER

    def _why_not(self, path: str, real: str) -> Kept | None:
        if _is_hidden(path):
            return Kept.HIDDEN
        if real in self.own or path.endswith(_UNFINISHED):
            return Kept.OURS
        suffix = os.path.splitext(path)[1].lower()
        if suffix in _TAKEN or (self.is_to_prepare and suffix in _CONVERTED):
            return None
        return Kept.TO_PREPARE if suffix in _CONVERTED else Kept.OTHER


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself; said when the picture is looked at
        return False


def _is_hidden(path: str) -> bool:
    return os.path.basename(path).startswith(".")
