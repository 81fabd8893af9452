"""A command line, in a process that is forked from this one."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection

import kling_effects_async.cli.app
import kling_effects_async.cli.jobs.resume  # noqa: F401  # here, once before all forks
from kling_effects_async.cli import main
from tests.crash.processes import LIFE_S, started

__all__ = ["exit_code_and_text"]


def exit_code_and_text(arguments: Sequence[str], url: str, key: str) -> tuple[int, str]:
    """Run ``kling-effects`` with these arguments; its exit code, and all that it wrote."""
    process, told = started(_run, arguments, url, key)
    try:
        if not told.poll(LIFE_S):
            raise RuntimeError(f"kling-effects {' '.join(arguments)} does not end")
        code, text = told.recv()
    finally:
        process.kill()
        process.join()
    return code, text


def _run(arguments: Sequence[str], url: str, key: str, told: Connection) -> None:
    os.environ.update({"KLING_SERVICE": url, "KLING_API_KEY": key, "COLUMNS": "1000"})
    with tempfile.TemporaryFile("w+", encoding="utf-8") as written:
        sys.stdout = sys.stderr = written
        code = main(arguments)
        written.seek(0)
        told.send((code, written.read()))
    os._exit(0)
