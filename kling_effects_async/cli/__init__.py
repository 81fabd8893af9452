"""The command ``kling-effects``. What it needs is imported when it is used, so that it starts fast.

Results go to stdout, messages go to stderr, and the exit code is for scripts (``failures``). With
``KLING_EFFECTS_DEBUG=1`` an error comes with its traceback.

A command is one file: its options and what it does. What a help does not need is reached through
this package, ``cli.finish``, and is imported at its first use.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from kling_effects_async.cli.signals import end_quietly, loaded, loading

# Known to type checkers. ``--version`` does without ``typing``.
TYPE_CHECKING = False

if TYPE_CHECKING:
    import kling_effects_async.cli.attempt
    import kling_effects_async.cli.finish
    import kling_effects_async.cli.jobs
    import kling_effects_async.cli.key_store
    import kling_effects_async.cli.messages
    import kling_effects_async.cli.output_path
    import kling_effects_async.cli.preview
    import kling_effects_async.cli.progress
    import kling_effects_async.cli.run_journal
    import kling_effects_async.cli.runner
    import kling_effects_async.cli.settings_file
    import kling_effects_async.cli.table
    import kling_effects_async.cli.task_text  # noqa: F401 - known by it as ``cli.task_text``

__all__ = ["main", "version_text"]

_AT_FIRST_USE = (
    "attempt",
    "finish",
    "key_store",
    "messages",
    "output_path",
    "preview",
    "progress",
    "run_journal",
    "runner",
    "settings_file",
    "table",
    "task_text",
)

# Of ``ExitCode``, which may not be imported before the packages are there.
_DONE, _SETTINGS, _NOT_PRINTED = 0, 3, 12
# After so many new objects Python looks for garbage. Imports leave none, and a search at every
# 700th object, Python's default, takes a tenth of the time of a help.
_NEW_OBJECTS = 50_000


def __getattr__(name: str) -> ModuleType:
    if name not in _AT_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return loaded(f"{__name__}.{name}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, the process's own by default.

    Returns:
        The exit code; nothing but a fault of Python itself gets out of here as an exception.
    """
    with loading():
        from kling_effects_async.cli.console import occupy_descriptors

        if arguments is None:
            gc.set_threshold(_NEW_OBJECTS)
            occupy_descriptors()
        given = list(sys.argv[1:] if arguments is None else arguments)
        if given == ["--version"]:  # the group has the option too, and takes three times as long
            return _show_version()
        run_app = _load_app()
    code = _SETTINGS if run_app is None else run_app(given)
    if arguments is None:
        end_quietly()  # a Ctrl-C while Python shuts down would print a traceback
    return code


def _load_app() -> Callable[[Sequence[str]], int] | None:
    try:
        from kling_effects_async.cli.app import run_app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("click", "rich", "rich_click"):
            raise
        from kling_effects_async.cli.console import write_err

        write_err(
            f"kling-effects: the command line needs the package {error.name}: "
            'pip install "kling-effects-async[cli]"'
        )
        return None
    return run_app


def _show_version() -> int:
    from kling_effects_async.cli.console import NotPrinted, write_err, write_out

    try:
        write_out(version_text())
    except NotPrinted as error:
        if error.has_no_reader:
            return _DONE
        write_err(f"kling-effects: stdout cannot be written: {error}")
        return _NOT_PRINTED
    return _DONE


def version_text() -> str:
    """The name and the installed version."""
    from importlib import metadata

    try:
        return f"kling-effects {metadata.version('kling-effects-async')}"
    except metadata.PackageNotFoundError:
        return "kling-effects (not installed: run from its sources)"
