"""How a command ends badly: an exit code, and lines that say what to do."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from kling_effects_async.cli.exit_codes import ExitCode

__all__ = ["Failure", "without_secrets"]


class Failure(Exception):
    """Ends the command.

    Attributes:
        code: the command's exit code.
        lines: what happened, then what to do.
    """

    def __init__(self, code: ExitCode, lines: Sequence[str], secrets: Sequence[str] = ()) -> None:
        super().__init__(code)
        self.code = code
        self._secrets = tuple(secrets)
        self.lines: tuple[str, ...] = tuple(without_secrets(line, secrets) for line in lines)

    def traceback(self) -> str:
        """Where it came from; a service's words in it may have repeated a key."""
        return without_secrets("".join(traceback.format_exception(self)), self._secrets)


def without_secrets(text: str, secrets: Sequence[str]) -> str:
    """The text without what must not be shown."""
    for secret in secrets:
        text = text.replace(secret, "...")
    return text
