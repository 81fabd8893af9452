"""Command lines for a person to copy, to go on with what the journal holds; pure."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable

from kling_effects_async.cli.service_choice import ServiceChoice

__all__ = ["adopt_command", "as_argument", "joined", "resume_command", "settle_command"]


_NONE = ServiceChoice()


def settle_command(
    external_task_id: str,
    *,
    journal: str,
    service: ServiceChoice = _NONE,
    account: str | None = None,
    how: str | None = None,
) -> str:
    """The command that settles one job.

    Args:
        how: ``--resubmit`` or ``--abandon``; ``None``: it is looked up.
    """
    options = _options(journal, service, account) + ([how] if how else [])
    return joined(["kling-effects", "jobs", "settle", *options, *as_argument(external_task_id)])


def resume_command(
    *,
    journal: str,
    service: ServiceChoice,
    download_to: str | None,
    account: str | None = None,
) -> str:
    """The command that finishes all unfinished jobs."""
    options = _options(journal, service, account)
    options += ["--download-to", download_to] if download_to else []
    return joined(["kling-effects", "jobs", "resume", *options])


def adopt_command(
    account: str, *, journal: str, service: ServiceChoice = _NONE, to: str | None = None
) -> str:
    """The command that takes another account's jobs over.

    Args:
        to: the name of the account that gets them; ``None``: it is the one of the key.
    """
    options = _options(journal, service, to)
    return joined(["kling-effects", "jobs", "adopt", *options, *as_argument(account)])


def joined(words: Iterable[str]) -> str:
    """A line that a shell takes apart into these words again."""
    return " ".join(map(_quoted, words))


def as_argument(text: str) -> list[str]:
    """The text where an argument goes: a dash at its beginning would make it an option."""
    return ["--", text] if text.startswith("-") else [text]


def _options(journal: str, service: ServiceChoice, account: str | None) -> list[str]:
    of_account = ["--account", account] if account else []
    return ["--journal", journal, *service.options(), *of_account]


def _quoted(word: str) -> str:
    # What is copied from a terminal must come back as it was, invisible letters included.
    if word.isprintable():
        return shlex.quote(word)
    # A line break, or a file name that is no text: as bash, zsh and POSIX 2024 write them.
    return "$'" + "".join(f"\\x{byte:02x}" for byte in os.fsencode(word)) + "'"
