"""The status words of services: what each means, and which of several counts.

- Case, and white space around a word, mean nothing.
- A word that is not in the table is UNKNOWN: never final, and kept as it came.
- Where a gateway wraps another's answer, the outermost final word counts, because the gateway may
  have decided on its own (its time-out sweep); else the innermost known word, which is the newest.
- A task with a clip and no word has succeeded.

A new word is one line of the table; a new kind of end is a member of ``TaskStatus`` as well.

Source: Kling's effects page, 2026-09 (submitted, processing, succeed, failed); new-api's task model
(upper case); query pages of other gateways and public reports, 2026 (the rest).
"""

from __future__ import annotations

from collections.abc import Iterable

from kling_effects_async.models import TaskStatus

__all__ = ["WORD_OF_A_CLIP", "status_of", "status_word"]

_WORDS = {
    TaskStatus.SUBMITTED: "not_start submitted queued pending initializing",
    TaskStatus.PROCESSING: "in_progress processing running",
    TaskStatus.SUCCEEDED: "success succeed succeeded completed done",
    # Whoever cancels, rejects or times out a task has ended it: there will be no clip.
    TaskStatus.FAILED: "failure failed cancelled canceled expired rejected timeout",
}
_STATUSES = {word: status for status, words in _WORDS.items() for word in words.split()}

# What a task with a clip and no status word is taken for. Source: a reseller's answer, 2026, whose
# finished tasks have an empty ``task_status``.
WORD_OF_A_CLIP = "succeed"


def status_of(word: str) -> TaskStatus:
    """What a status word means."""
    return _STATUSES.get(word.strip().lower(), TaskStatus.UNKNOWN)


def status_word(candidates: Iterable[object]) -> str:
    """The word that counts, as the service wrote it; ``""`` if there is none.

    Args:
        candidates: the status members of all layers, outermost first; absent ones are ``None``.
    """
    known = last = ""
    for candidate in candidates:
        if not isinstance(candidate, str) or not candidate.strip():
            continue
        last = candidate.strip()
        status = status_of(last)
        if status.is_final:
            return last
        if status is not TaskStatus.UNKNOWN:
            known = last
    return known or last
