"""A harness of the tests that is a command of its own, such as ``python -m tests.crash``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.command_line import clean_environment

__all__ = ["numbers_in", "output_of_harness"]

# A harness takes seconds, and on a busy machine many times that.
_TIMEOUT_S = 250


def output_of_harness(*words: object, folder: Path, code: int = 0) -> str:
    """What it printed; it must end with this code, and nothing may be complained about."""
    with subprocess.Popen(
        [sys.executable, "-m", *map(str, words)],
        env=clean_environment(folder, PYTHONPATH=os.pathsep.join(sys.path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that a harness that hangs is ended with its children
    ) as harness:
        try:
            told, complaints = harness.communicate(timeout=_TIMEOUT_S)
        except BaseException:
            os.killpg(harness.pid, signal.SIGKILL)
            raise
    print(told)  # pytest shows it if the test fails
    assert complaints == ""
    assert harness.returncode == code
    return told


def numbers_in(told: str, name: str) -> dict[str, int]:
    """The numbers of the last line that begins with this name."""
    line = re.findall(rf"^{name}: (.*)$", told, re.MULTILINE)[-1]
    return {word: int(count) for word, count in re.findall(r"(\w+)=(-?\d+)", line)}
