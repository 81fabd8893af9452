"""Command lines for a person to copy: how to go on with what the journal holds; pure."""

from __future__ import annotations

import shlex

__all__ = ["resume_command", "settle_command"]


def settle_command(
    external_task_id: str, *, journal: str, service: str | None = None, how: str | None = None
) -> str:
    """The command that settles one job.

    Args:
        how: ``--resubmit`` or ``--abandon``; ``None``: it is looked up.
    """
    options = _options(journal, service) + ([how] if how else [])
    return shlex.join(["kling-effects", "jobs", "settle", *options, *_argument(external_task_id)])


def resume_command(*, journal: str, service: str | None, download_to: str | None) -> str:
    """The command that sees everything through that is not at its end."""
    options = _options(journal, service) + (["--download-to", download_to] if download_to else [])
    return shlex.join(["kling-effects", "jobs", "resume", *options])


def _options(journal: str, service: str | None) -> list[str]:
    return ["--journal", journal, *(["--service", service] if service else [])]


def _argument(text: str) -> list[str]:
    # A dash at its beginning would make it an option.
    return ["--", text] if text.startswith("-") else [text]
