"""The command ``kling-effects``. What it needs is imported when it is used, so that it starts fast.

Data goes to stdout, talk goes to stderr, and the exit code tells scripts what happened
(``failures``). With ``KLING_EFFECTS_DEBUG=1`` an error comes with its traceback.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence

from kling_effects_async.cli.signals import end_quietly, loading

__all__ = ["main"]

# Of ``ExitCode``, which may not be imported before the packages are there.
_DONE, _SETTINGS, _NOT_PRINTED = 0, 3, 12
# How many make Python look for garbage. What is imported is none, and to look through it at every
# 700th object, Python's default, takes a tenth of the time that a help does.
_NEW_OBJECTS = 50_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, the process's own by default.

    Returns:
        The exit code; nothing but a fault of Python itself gets out of here as an exception.
    """
    with loading():
        from kling_effects_async.cli.streams import occupy_descriptors

        if arguments is None:
            gc.set_threshold(_NEW_OBJECTS)
            occupy_descriptors()
        given = list(sys.argv[1:] if arguments is None else arguments)
        if given == ["--version"]:  # the group knows the option too, and takes three times as long
            return _show_version()
        run_app = _load_app()
    code = _SETTINGS if run_app is None else run_app(given)
    if arguments is None:
        end_quietly()  # Python's own end is not to be seen either
    return code


def _load_app() -> Callable[[Sequence[str]], int] | None:
    try:
        from kling_effects_async.cli.app import run_app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("click", "rich", "rich_click"):
            raise
        from kling_effects_async.cli.streams import write_err

        write_err(
            f"kling-effects: the command line needs the package {error.name}: "
            'pip install "kling-effects-async[cli]"'
        )
        return None
    return run_app


def _show_version() -> int:
    from kling_effects_async.cli.streams import NotPrinted, write_err, write_out
    from kling_effects_async.cli.version import version

    try:
        write_out(version())
    except NotPrinted as error:
        if error.has_no_reader:
            return _DONE
        write_err(f"kling-effects: stdout cannot be written: {error}")
        return _NOT_PRINTED
    return _DONE
