"""Which service and whose key a command line names: ``--service`` and ``--profile`` together."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ServiceChoice"]


class ServiceChoice(NamedTuple):
    """What was given on the command line; the environment and the settings file come after it.

    Attributes:
        name: the value of ``--service``.
        profile: the value of ``--profile``, a table of the settings file.
    """

    name: str | None = None
    profile: str | None = None

    def options(self) -> list[str]:
        """The same options for another command line."""
        given = {"--profile": self.profile, "--service": self.name}
        return [word for name, value in given.items() if value for word in (name, value)]
