"""How a command ends badly: an exit code, and lines that say what to do."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from kling_effects_async.cli.exit_codes import ExitCode

__all__ = ["Failure"]


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
        self.lines = tuple(self._without_secrets(line) for line in lines)

    def traceback(self) -> str:
        """Where it came from; a service's words in it may have repeated a key."""
        return self._without_secrets("".join(traceback.format_exception(self)))

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "...")
        return text
