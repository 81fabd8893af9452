"""What goes to stdout: paths and JSON, for programs to read."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kling_effects_async.cli.collect import Report

__all__ = ["print_json", "print_json_lines", "print_line", "print_lines", "print_report"]


def print_report(report: Report, *, as_json: bool) -> None:
    """The path alone, or all that is known."""
    if as_json:
        print_json(report.as_json())
    else:
        # A file name need not be text in any encoding.
        print_line(os.fsencode(report.path))


def print_json(value: object) -> None:
    """One JSON value on one line, in ASCII, which no terminal or pipe can garble."""
    print_line(json.dumps(value))


def print_json_lines(values: Iterable[object]) -> None:
    """One JSON value on each line."""
    print_line("\n".join(map(json.dumps, values)))


def print_lines(lines: Iterable[str]) -> None:
    """Text for people, in an encoding that has every letter of it."""
    print_line("\n".join(lines).encode("utf-8", "backslashreplace"))


def print_line(line: str | bytes) -> None:
    """One line, at once; bytes as they are. A reader that has left, like ``head``, is no error."""
    try:
        click.echo(line)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
