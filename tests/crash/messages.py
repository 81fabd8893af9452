"""What the user may be told: the class of an error, and a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["OF_DAMAGE", "OF_SERVICE", "ROWS_LOST", "SENTENCES", "Message"]

# The class and the text.
Message = tuple[str, str]

# By the class of the error: what the message has to say, one of these.
SENTENCES: Mapping[str, Sequence[str]] = {
    "warning": ("each job is looked up at the service before it is submitted",),
    "JournalDamagedError": (
        "open it again with start_fresh=True",
        "close it and open it again",
        "submit the effect again under another external_task_id",
    ),
    "IdempotencyConflictError": ("choose another id",),
    "JournalFullError": ("submit nothing until there is room",),
    "log": ("submit nothing until there is room",),  # an outcome that is delivered all the same
    "JournalBusyError": ("wait for its end, or open it read-only",),
    "ExternalIdTakenError": ('submit with SubmitPolicy(on_taken="adopt")',),
    "jobs: exit 3": (
        "open it again",
        "delete the file beside it that ends in .damaged",
        "open it for writing once",  # killed before it had its tables
    ),
    "jobs resume: exit 3": ("delete the file beside it that ends in .damaged",),
    "child: RuntimeError": ("async with client:", "open it again here"),
    # The latter by what SQLite inherits of its parent's locks.
    "child: JournalBusyError": ("wait for its end, or open it read-only", "end it, and try again"),
}
OF_DAMAGE = {
    "warning",
    "JournalDamagedError",
    "ExternalIdTakenError",
    "jobs: exit 3",
    "jobs resume: exit 3",
}
# Not said by anybody: the journal can be read, and has less than before.
ROWS_LOST = "rows lost"
# What the service's faults bring about, whatever happens to the journal.
OF_SERVICE = {"SubmissionUncertainError", "NetworkError", "RequestTimeoutError", "ServiceError"}
