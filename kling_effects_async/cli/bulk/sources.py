"""What the arguments of ``kling-effects bulk`` name, as rows in the order of the arguments.

A folder stands for the pictures in it, a pattern for the files that it matches, ``-`` for a list
or a manifest on stdin, a name that ends in .csv, .tsv, .jsonl or .ndjson for a manifest, and
everything else for one picture, a file or an address.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TypeAlias

from attrs import frozen

import kling_effects_async as kling
from kling_effects_async.cli.bulk.folders import Found, Walk, is_pattern
from kling_effects_async.cli.bulk.manifest import Manifest, manifest_at
from kling_effects_async.cli.bulk.problems import LeftOut, Problem
from kling_effects_async.cli.bulk.records import FORMATS
from kling_effects_async.cli.bulk.row import Flawed, Row
from kling_effects_async.cli.bulk.row_maker import (
    Defaults,
    Place,
    RowMaker,
    image_label_of,
    is_address,
)
from kling_effects_async.cli.bulk.spool import spooled
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.scenes import find_scene

__all__ = ["Entry", "Input", "Rows", "read_rows"]

Entry: TypeAlias = Row | Flawed | Problem | LeftOut
Input: TypeAlias = Callable[[RowMaker], Iterator[Entry]]

# What people have their lists in, and what to do with it.
_NO_MANIFESTS = {
    ".txt": "a list of pictures goes to stdin: kling-effects bulk ... - < {}",
    ".json": "write one JSON object a line, and call it .jsonl.",
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers"), "save it as CSV, in UTF-8."),
}


@frozen(kw_only=True)
class Rows:
    """The rows of a run, read lazily and as often as needed; always the same, in the same order.

    Attributes:
        inputs: of each argument what it gives.
        limit: no more rows than this; ``None``: all.
    """

    inputs: tuple[Input, ...]
    defaults: Defaults
    limit: int | None = None

    def entries(self) -> Iterator[Entry]:
        """Rows, everything that is wrong, and what was left out of folders. Blocks."""
        maker = RowMaker(self.defaults)
        rows = 0
        if self.limit == 0:
            return
        for entry in chain.from_iterable(entries(maker) for entries in self.inputs):
            yield entry
            rows += isinstance(entry, Row)
            if rows == self.limit:
                return

    def __iter__(self) -> Iterator[Row]:
        """The rows alone, for a run that has been checked. Blocks.

        Raises:
            Failure: what is read is wrong now, or has changed.
        """
        for entry in self.entries():
            if isinstance(entry, Row):
                yield entry
            elif not isinstance(entry, LeftOut):
                problems = entry.problems if isinstance(entry, Flawed) else [entry]
                raise Failure(ExitCode.REJECTED_HERE, [str(problem) for problem in problems])


@contextmanager
def read_rows(
    arguments: Sequence[str],
    defaults: Defaults,
    *,
    stdin: BinaryIO | None = None,
    is_recursive: bool = False,
    own: Iterable[Path] = (),
    limit: int | None = None,
) -> Iterator[Rows]:
    """The rows that the arguments name; nothing but stdin and the state of manifests is read yet.

    Within the block they can be gone through again and again. Blocks.

    Args:
        stdin: what ``-`` reads, to its end.
        is_recursive: folders within the folders are entered too.
        own: what the run writes itself (output folder, journal, report); left out of folders.
        limit: no more rows than this.

    Raises:
        Failure: there is no room to keep stdin.
    """
    walk = Walk(
        is_recursive=is_recursive,
        is_to_prepare=defaults.is_to_prepare,
        own=frozenset(os.path.realpath(path) for path in own),
    )
    with ExitStack() as stack:
        kept = stack.enter_context(spooled(stdin)) if stdin and "-" in arguments else None
        inputs = [
            _stdin_input(kept, arguments[:place]) if text == "-" else _input(text, walk)
            for place, text in enumerate(arguments)
        ]
        yield Rows(inputs=tuple(inputs), defaults=defaults, limit=limit)


def _stdin_input(kept: Manifest | None, earlier: Sequence[str]) -> Input:
    if kept is None:
        return _only(Problem("-", "there is nothing on stdin."))
    if "-" in earlier:
        return _only(Problem("-", "stdin can be read once: name it once."))
    return kept.entries


def _input(text: str, walk: Walk) -> Input:
    suffix = os.path.splitext(text)[1].lower()
    if is_address(text):
        return partial(_images, [text], image_label_of(text))
    if is_pattern(text):
        return partial(_images, _Again(partial(walk.pattern, text)), text)
    if os.path.isdir(text):
        return partial(_images, _Again(partial(walk.folder, text)), text)
    if not os.path.lexists(text):
        return _only(Problem(text, f"there is no such file or folder{_similar(text)}"))
    if suffix in _NO_MANIFESTS:
        return _only(Problem(text, f"it is no picture: {_NO_MANIFESTS[suffix].format(text)}"))
    if suffix not in FORMATS:
        return partial(_images, [text], text)
    try:
        return manifest_at(text).entries
    except OSError as error:
        return _only(Problem(text, f"it cannot be read: {error.strerror or error}."))


def _only(problem: Problem) -> Input:
    return lambda _maker: iter([problem])


@frozen
class _Again:
    """What a function yields, each time it is iterated over."""

    found: Callable[[], Iterator[Found]]

    def __iter__(self) -> Iterator[Found]:
        return self.found()


def _images(found: Iterable[Found], label: str, maker: RowMaker) -> Iterator[Entry]:
    """One row a picture; a problem where they can be none, or where there is no picture."""
    unfit = _scene_problem(maker.defaults)
    if unfit is not None:
        yield Problem(label, unfit)
        return
    is_empty = True
    for each in found:
        is_empty = is_empty and isinstance(each, LeftOut)
        yield _made(each, maker) if isinstance(each, str) else each
    if is_empty:
        yield Problem(label, "there is no picture in it, or none that can be sent as it is.")


def _made(image: str, maker: RowMaker) -> Row | Flawed:
    where = image_label_of(image) if is_address(image) else image
    return maker.make({"image": image}, Place(where, None, Path()))


def _scene_problem(defaults: Defaults) -> str | None:
    if defaults.scene is None:
        return "which scene? Name one on the command line, or use a manifest with a column scene."
    info = kling.catalogue().get(find_scene(defaults.scene) or "")
    if info is None or info.images == 1:
        return None
    return (
        f"scene {info.scene} takes two images, and which belong together cannot be guessed: write "
        "a manifest with the columns left and right, a pair a line, and name that."
    )


def _similar(path: str) -> str:
    folder, name = os.path.split(path.rstrip("/"))
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return "."
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {os.path.join(folder, near[0])}?" if near else "."
