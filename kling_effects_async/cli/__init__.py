"""The command ``kling-effects``. What it needs is imported when it is used, so that it starts fast.

Data goes to stdout, talk goes to stderr, and the exit code tells scripts what happened
(``exit_codes``). With ``KLING_EFFECTS_DEBUG=1`` an error comes with its traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, the process's own by default.

    Returns:
        The exit code; nothing but a fault of Python itself gets out of here as an exception.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["--version"]:  # the group knows the option too, and takes three times as long
        from kling_effects_async.cli.version import version

        print(version())
        return 0
    try:
        from kling_effects_async.cli.app import run_app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("click", "rich", "rich_click"):
            raise
        print(
            f"kling-effects: the command line needs the package {error.name}: "
            'pip install "kling-effects-async[cli]"',
            file=sys.stderr,
        )
        return 3  # ExitCode.SETTINGS, which may not be imported before the packages are there
    return run_app(given)
