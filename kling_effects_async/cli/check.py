"""``kling-effects check``: pictures are held against Kling's rules, before anything is paid."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import rich_click as click

import kling_effects_async as kling
from kling_effects_async import cli
from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import one_line, print_json_lines, print_lines, say
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.options import as_json_lines, file_names, offered

if TYPE_CHECKING:
    from kling_effects_async import ImageFacts

__all__ = ["check"]

_EXAMPLES = (
    "kling-effects check cat.jpg photos/",
    "kling-effects check photos/ -r --prepare --json",
)

# What the files of a folder are taken by; a file that is named itself may be called anything.
_PICTURES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .gif .bmp .tif .tiff .avif .heic .heif".split()
)
_FETCHED_THERE = "It is an address, which the service fetches itself."


class Checked(NamedTuple):
    """One picture.

    Attributes:
        state: ``ok``; ``rejected``, for ``problems``; ``prepared``, where ``--prepare`` makes it
            one that Kling takes, by ``changes``; ``unreadable`` on this machine; ``unchecked``, for
            an address, which only the service fetches.
        facts: of the picture, or of the prepared copy; ``None`` where it is not accepted.
    """

    image: str
    state: str
    facts: ImageFacts | None = None
    problems: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    @property
    def is_accepted(self) -> bool:
        return self.state not in ("rejected", "unreadable")

    def as_json(self) -> Mapping[str, object]:
        facts = self.facts
        return {
            "image": self.image,
            "state": self.state,
            "is_accepted": self.is_accepted,
            "problems": self.problems,
            "changes": self.changes,
            "format": facts and facts.format,
            "width_px": facts and facts.width_px,
            "height_px": facts and facts.height_px,
            "size_bytes": facts and facts.size_bytes,
        }

    def line(self) -> str:
        facts = self.facts
        size = "" if facts is None else _size(facts)
        why = " ".join(self.changes or self.problems)
        return one_line(f"{self.image}: {self.state}{size}{f': {why}' if why else ''}")


def _size(facts: ImageFacts) -> str:
    side = f"{facts.width_px} x {facts.height_px} px"
    return f", {facts.format} of {side}, {facts.size_bytes:,} bytes"


@click.command(cls=Command, examples=_EXAMPLES)
@click.argument(
    "images",
    nargs=-1,
    required=True,
    metavar="IMAGE...",
    callback=file_names,
    shell_complete=offered("files"),
)
@click.option(
    "--prepare",
    "is_to_prepare",
    is_flag=True,
    help="Tell what --prepare of other commands would change; no file is written.",
)
@click.option("--decode", "is_to_decode", is_flag=True, help="Find damage in the pixels too.")
@click.option("-r", "--recursive", "is_recursive", is_flag=True, help="Also folders in folders.")
@as_json_lines
def check(
    images: tuple[str, ...],
    is_to_prepare: bool,
    is_to_decode: bool,
    is_recursive: bool,
    as_json: bool,
) -> None:
    """Check pictures against Kling's rules, before anything is paid.

    Each IMAGE is a file, a folder, - for a picture on stdin, or an http(s) URL, which only the
    service fetches. Prints a line for each. The exit code is 0 if all would be accepted, else 4.
    """
    # Imported before the first file is opened: a signal ends a load at once.
    _ = kling.check_image, kling.prepare
    found: Counter[str] = Counter()
    for image in _pictures(images, is_recursive=is_recursive):
        checked = _checked(image, is_to_prepare=is_to_prepare, is_to_decode=is_to_decode)
        found[checked.state] += 1
        if as_json:
            print_json_lines([checked.as_json()])
        else:
            print_lines([checked.line()])
    _report(found)


def _report(found: Counter[str]) -> None:
    line = ", ".join(f"{number} {state}" for state, number in found.items())
    if found["rejected"] or found["unreadable"]:
        raise Failure(ExitCode.REJECTED_HERE, [line])
    say(line)


def _pictures(names: Sequence[str], *, is_recursive: bool) -> Iterator[str]:
    """Every picture, those of a folder in the order of their names."""
    for name in names:
        if not os.path.isdir(name):
            yield name
            continue
        found = list(_of_folder(name, is_recursive=is_recursive))
        if not found:
            inner = "" if is_recursive else "; -r looks into the folders in it"
            raise Failure(ExitCode.REJECTED_HERE, [f"the folder {name} has no picture{inner}"])
        yield from found


def _of_folder(folder: str, *, is_recursive: bool) -> Iterator[str]:
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in entries:
        is_shown = not entry.name.startswith(".")
        if is_shown and entry.is_file() and Path(entry.name).suffix.lower() in _PICTURES:
            yield entry.path
        elif is_shown and is_recursive and entry.is_dir(follow_symlinks=False):
            yield from _of_folder(entry.path, is_recursive=True)


def _checked(image: str, *, is_to_prepare: bool, is_to_decode: bool) -> Checked:
    from kling_effects_async.web_address import address_label, tidied

    if tidied(image).startswith(("http://", "https://")):
        return Checked(address_label(tidied(image)), "unchecked", problems=(_FETCHED_THERE,))
    source = sys.stdin.buffer.read() if image == "-" else Path(image)
    try:
        return Checked(image, "ok", facts=kling.check_image(source, decode=is_to_decode))
    except kling.ImageUnreadableError as error:
        return Checked(image, "unreadable", problems=(cli.messages.in_our_words(str(error)),))
    except kling.ImageRejectedError as error:
        problems = tuple(map(cli.messages.in_our_words, error.problems))
        return _prepared(image, source, problems) if is_to_prepare else _rejected(image, problems)


def _rejected(image: str, problems: tuple[str, ...]) -> Checked:
    return Checked(image, "rejected", problems=problems)


def _prepared(image: str, source: Path | bytes, problems: tuple[str, ...]) -> Checked:
    try:
        prepared = kling.prepare(source)
    except kling.ImageUnreadableError as error:
        return Checked(image, "unreadable", problems=(cli.messages.in_our_words(str(error)),))
    except kling.ImageRejectedError as error:
        return _rejected(image, tuple(map(cli.messages.in_our_words, error.problems)))
    return Checked(image, "prepared", prepared.facts, problems, prepared.changes)
