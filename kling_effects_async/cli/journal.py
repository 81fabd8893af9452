"""The journal as ``jobs`` needs it: one that is there already, and errors that end the command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kling_effects_async import JournalError, KlingEffectsError, SettingsError
from kling_effects_async.cli.exit_codes import exit_code_of
from kling_effects_async.cli.failure import Failure
from kling_effects_async.cli.sentences import sentence
from kling_effects_async.cli.talk import plain_talk
from kling_effects_async.journal.paths import journal_path
from kling_effects_async.journal.sqlite.quarantine import reject_after_damage

__all__ = ["explained", "journal_file"]


def journal_file(given: str | None) -> Path:
    """The file of a journal that exists; a mistyped name must not begin an empty one.

    Raises:
        SettingsError: none was named.
        JournalError: there is none, or it was damaged and moved aside.
    """
    if given is None:
        raise SettingsError("no journal: name its file with --journal, or with KLING_JOURNAL")
    path = journal_path(given)
    reject_after_damage(path, start_fresh=False)
    if not path.exists():
        raise JournalError(f"there is no journal at {path}")
    return path


@contextmanager
def explained(secrets: Sequence[str] = ()) -> Iterator[None]:
    """Turn an error that ends the block into a ``Failure`` of one sentence.

    Args:
        secrets: what must be cut out of the sentence; looked at when it is said.
    """
    try:
        with plain_talk():
            yield
    except KlingEffectsError as error:
        raise Failure(exit_code_of(error), [sentence(error)], secrets) from error
