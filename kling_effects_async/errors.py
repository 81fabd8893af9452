"""Every error that this package raises on purpose, grouped by what the caller can do next.

KlingEffectsError
├── SettingsError              nothing was sent: complete or correct the settings
├── EffectRejectedError        nothing was sent: correct the effect or its id
├── IdempotencyConflictError   nothing was sent: the external id belongs to another effect
│   └── ExternalIdTakenError   the service has a task under this id that was not submitted here
├── AccountChangedError        nothing was sent: the journal holds this job under another account
├── BudgetExceededError        nothing was sent: raise the budget, or settle the uncertain jobs
├── ImageRejectedError         nothing was sent: choose another image, or ``prepare`` this one
├── ImageUnreadableError       nothing was sent: this machine could not read the file, try again
├── ClipNameTakenError         nothing was sent: another file has the name of the clip
├── ClientClosedError          the client was closed during the call: open it, ``attach`` again
├── ClientDrainingError        nothing was sent: the client finishes what runs, and takes no more
├── TransportError             no answer: try later
│   ├── NetworkError           no connection, or one that broke
│   ├── RequestTimeoutError    one request took too long (also a ``TimeoutError``)
│   ├── TlsError               the server's certificate is not valid: correct it, or the clock
│   ├── ProxyError             the proxy rejected the connection, or is not there
│   └── SubmissionUncertainError   a submit may have been accepted: look it up, then decide
├── ReplyError                 an answer that cannot be read: try later, or correct the address
├── ApiError                   an answer that rejects the request
│   ├── AuthenticationError    the key is wrong: correct it
│   ├── AccountError           the account may not, or cannot pay: a person has to act
│   ├── InvalidRequestError    this request will never be accepted: change it
│   │   └── TaskNotFoundError  the service has no such task (yet, or any more)
│   ├── ContentRejectedError   moderation: submit another image
│   ├── RateLimitError         too fast: wait, then the same again
│   │   └── ConcurrencyLimitError   all of the account's slots are taken: the same
│   └── ServiceError           the service failed: try later
├── JournalError               the journal cannot be used, or has no such job
│   ├── JournalBusyError       another process has it open: wait, or read only
│   ├── JournalDamagedError    the file is damaged; nothing of it was deleted
│   ├── JournalFullError       the disk is full or fails: make room
│   ├── JournalVersionError    another version of this package wrote it: update
│   └── JobStateError          what was decided about a job does not fit its state
├── TaskFailedError            the task ended in failure: submit another image
├── TaskTimeoutError           the deadline passed: ``attach`` later (also a ``TimeoutError``)
├── ResultMissingError         the task succeeded and names no video: ``refresh`` later
└── DownloadError              the video could not be downloaded: ``download`` again
    └── VideoExpiredError      its address is no longer valid: ``refresh`` its task

One module, not a folder: the drawing is its table of contents. Every class here is public, so there
is no ``__all__`` that repeats them.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path

    from kling_effects_async.models import TaskSnapshot


class Scope(enum.Enum):
    """Which submits an error concerns besides the one that raised it.

    Attributes:
        JOB: this effect or task alone.
        ACCOUNT: every submit of the account, until a person acts.
        PACE: every submit of the account, for a while.
    """

    JOB = "job"
    ACCOUNT = "account"
    PACE = "pace"

    def __str__(self) -> str:
        return self.value


class KlingEffectsError(Exception):
    """The base class of every error that this package raises on purpose.

    All of them can be pickled and copied with all their attributes, so that an id also leaves a
    worker process.

    Attributes:
        retryable: whether the same call can succeed later although nothing is changed.
        retry_after_s: the pause that the service requests before that, in seconds; ``None`` if it
            requests none, or 0.
        scope: which other submits the error concerns.
    """

    retryable: bool = False
    retry_after_s: float | None = None
    scope: Scope = Scope.JOB

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own calls the class with ``args``, which keyword-only parameters do not allow.
        return _revived, (type(self), self.args, self.__dict__)


def _revived(
    kind: type[KlingEffectsError], args: tuple[Any, ...], members: dict[str, Any]
) -> KlingEffectsError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(members)
    return error


# -- Nothing was sent


class SettingsError(KlingEffectsError):
    """A setting is missing, malformed or contradicts another; nothing was sent.

    The message names the setting and what it must be: correct it, then call again.
    """


class EffectRejectedError(KlingEffectsError, ValueError):
    """The effect, or its id, cannot be sent (a dual scene with one image); nothing was sent.

    The message names what is wrong: correct it, then submit again.
    """


class IdempotencyConflictError(KlingEffectsError):
    """The external id belongs to a job with other content; nothing was written down or sent.

    Choose another id, or submit the effect that this id was first used for.

    Attributes:
        external_task_id: the id that is taken.
        differs: what is not the same, such as ``scene`` or ``content``.
    """

    def __init__(self, *, external_task_id: str, differs: Sequence[str]) -> None:
        self.external_task_id = external_task_id
        self.differs: tuple[str, ...] = tuple(differs)
        super().__init__(external_task_id, self.differs)

    def __str__(self) -> str:
        return (
            f"external_task_id {self.external_task_id!r} belongs to another job of this account: "
            f"{' and '.join(self.differs)} differ. Nothing was sent: choose another id, or give "
            "the effect this id was first used for"
        )


class ExternalIdTakenError(IdempotencyConflictError):
    """The service has a task under this external id that was not submitted from here.

    It may be another program's, or one whose journal is lost. It is not adopted, because its clip
    need not be of these images. Choose another id; or, if it is the task you mean,
    ``attach(task_id)``, or submit with ``SubmitPolicy(on_taken="adopt")``.

    Attributes:
        task_id: the task that has the id; ``None`` where the service does not find it by the id.
    """

    def __init__(self, *, external_task_id: str, task_id: str | None) -> None:
        super().__init__(external_task_id=external_task_id, differs=("origin",))
        self.task_id = task_id

    def __str__(self) -> str:
        task = f"task {self.task_id}" if self.task_id else "a task that it does not show"
        return (
            f"external_task_id {self.external_task_id!r} is taken: the service has {task} under "
            "it, which was not submitted from here. Nothing was created and nothing charged: "
            "choose another id; or, if that task is the one you mean, attach() to it, or submit "
            'with SubmitPolicy(on_taken="adopt")'
        )


class AccountChangedError(KlingEffectsError):
    """The journal holds this job under another account of the same service; nothing was sent.

    A rotated key looks like a new account unless the account has a name of its own. If both are one
    account, pass ``EffectsClient(account=other_account)``, or let ``Journal.adopt`` move its jobs;
    otherwise use another external id.

    Attributes:
        external_task_id: the id of the job.
        account: the account of the present key.
        other_account: the account that the journal holds the job under.
    """

    scope: Scope = Scope.ACCOUNT

    def __init__(self, *, external_task_id: str, account: str, other_account: str) -> None:
        self.external_task_id = external_task_id
        self.account = account
        self.other_account = other_account
        super().__init__(external_task_id)

    def __str__(self) -> str:
        return (
            f"the journal holds job {self.external_task_id!r} under the account "
            f"{self.other_account!r}, and the present key is of {self.account!r}. Nothing was "
            f"sent. If both are one account with a new key, pass account={self.other_account!r}, "
            "or let Journal.adopt() take its jobs over; otherwise use another external_task_id"
        )


class BudgetExceededError(KlingEffectsError):
    """One more task could cost more than the budget has left; nothing was sent.

    Raise ``budget_units``, or settle the uncertain jobs, then submit again. All figures are in the
    service's units.

    Attributes:
        scene: the scene of the effect that was not submitted.
        limit_units: the budget.
        spent_units: what ended tasks cost; where the service reports no cost, what was expected.
        running_units: what running tasks are likely to cost.
        unsettled_units: what jobs are likely to cost that are being submitted or are uncertain.
        expected_units: what this one is likely to cost.
    """

    def __init__(
        self,
        *,
        scene: str,
        limit_units: Decimal,
        spent_units: Decimal,
        running_units: Decimal,
        unsettled_units: Decimal,
        expected_units: Decimal,
    ) -> None:
        self.scene = scene
        self.limit_units = limit_units
        self.spent_units = spent_units
        self.running_units = running_units
        self.unsettled_units = unsettled_units
        self.expected_units = expected_units
        super().__init__(scene)

    def __str__(self) -> str:
        return (
            f"{self.scene!r} is likely to cost {self.expected_units} units, and of the budget of "
            f"{self.limit_units} units {self.spent_units} are spent, {self.running_units} are for "
            f"running tasks and {self.unsettled_units} for jobs that are being submitted or are "
            "uncertain. Nothing was sent: raise the budget, or settle the uncertain jobs"
        )


class ImageRejectedError(KlingEffectsError, ValueError):
    """Kling would reject this image, possibly after charging for it; nothing was sent.

    Attributes:
        image: what the image is called in messages, such as its file name.
        problems: every reason found, each one a sentence with what to do about it.
    """

    def __init__(self, image: str, problems: Sequence[str]) -> None:
        self.image = image
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__(image, self.problems)

    def __str__(self) -> str:
        return f"{self.image}: {' '.join(self.problems)}"


class ImageUnreadableError(KlingEffectsError):
    """This machine could not read an image file; the picture itself may be fine.

    Too many files are open, or memory is short, or the disk or the network of the file fails. No
    complete request was sent, so the same call again is safe, and may succeed.

    Attributes:
        image: what the image is called in messages, such as its file name.
        reason: the operating system's error.
    """

    def __init__(self, image: str, reason: str) -> None:
        self.image = image
        self.reason = reason
        super().__init__(image, reason)

    def __str__(self) -> str:
        return (
            f"{self.image}: this machine cannot read the file now ({self.reason}). "
            "Nothing was sent; try again once it can"
        )


# -- The client was closed


class ClipNameTakenError(KlingEffectsError):
    """Nothing was sent: a file that is not this effect's clip has the name that its clip gets.

    Move it away, or choose another name or folder.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(path)

    def __str__(self) -> str:
        return (
            f"{self.path} exists and is not this effect's clip, so it was left as it is, and "
            "nothing was sent: move it away, or choose another name or folder, and call again"
        )


class ClientClosedError(KlingEffectsError):
    """The client was closed during the call; a submitted task goes on at the service.

    Open the client again, then ``attach`` to the task, or ``resume`` with a journal.
    """


class ClientDrainingError(KlingEffectsError):
    """Nothing was sent: ``EffectsClient.drain`` was called, and only what runs is finished.

    In a journal the job stays planned: another client submits it, by the same call or by
    ``resume``.
    """


# -- No answer


class TransportError(KlingEffectsError):
    """The service's answer did not arrive: try later.

    Attributes:
        sent: whether bytes of the request may have reached the server. Only where this is
            ``False`` is it certain that a submit created no task.
    """

    retryable: bool = True

    def __init__(self, message: str, *, sent: bool = True) -> None:
        self.sent = sent
        super().__init__(message)


class NetworkError(TransportError):
    """No connection could be made, or it broke before the answer was complete."""


class RequestTimeoutError(TransportError, TimeoutError):
    """One request took longer than its limit in ``RetryPolicy``: try later, or raise the limit."""


class TlsError(TransportError):
    """The server's certificate is not valid; no request is sent without a valid one.

    Correct the clock, the certificate store, or the ``session`` that was passed.
    """

    retryable: bool = False


class ProxyError(TransportError):
    """The proxy before the service rejected the connection, broke it, or is not there.

    Attributes:
        retryable: whether the same request can succeed later; if not, correct ``proxy=`` or the
            environment's variables.
    """

    def __init__(self, message: str, *, sent: bool = True, retryable: bool = False) -> None:
        self.retryable: bool = retryable
        super().__init__(message, sent=sent)


class SubmissionUncertainError(TransportError):
    """The answer to a submit was lost: the service may have accepted the task, and charge for it.

    Look it up before you submit again: ``client.attach(external_task_id=...)`` finds the task where
    the service looks tasks up by external id; otherwise search the service's own list. Then
    ``client.settle`` records your decision.

    Attributes:
        external_task_id: the id the task was submitted with.
        scene: the scene it was submitted for.
        reason: how its answer was lost, and why it was not found out since.
    """

    retryable: bool = False  # a second submit may be charged a second time, so a person decides

    def __init__(
        self, message: str, *, external_task_id: str, scene: str, reason: str = ""
    ) -> None:
        self.external_task_id = external_task_id
        self.scene = scene
        self.reason = reason
        super().__init__(message, sent=True)


# -- An answer that cannot be read, or that rejects


class ReplyError(KlingEffectsError):
    """An answer cannot be read: an HTML page, a cut body, another task's answer.

    Try later; if it stays, check the service's address.

    Attributes:
        http_status: the answer's HTTP status; ``None`` if there is none to show.
        request_id: the service's id for the request, for its support; ``None`` if it sent none.
        may_be_accepted: whether a submit with this answer may have created a task all the same.
    """

    retryable: bool = True

    def __init__(
        self,
        message: str,
        *,
        http_status: int | None = None,
        request_id: str | None = None,
        may_be_accepted: bool = True,
        scope: Scope = Scope.JOB,
    ) -> None:
        self.scope = scope
        self.may_be_accepted = may_be_accepted
        self.http_status = http_status
        self.request_id = request_id
        super().__init__(message)


class ApiError(KlingEffectsError):
    """The service answered, and rejects the request; the class shows what to do.

    Attributes:
        http_status: the answer's HTTP status; ``None`` if there is none to show.
        code: the business code: a number of Kling's, a word of some gateways; ``None`` without one.
        message: the service's own words; ``""`` if it gave none.
        request_id: the service's id for the request, for its support; ``None`` if it sent none.
        may_be_accepted: whether a submit with this answer may have created a task all the same.
        advice: what to do about it, in our words; ``""`` where the class is enough.
    """

    def __init__(
        self,
        message: str,
        *,
        http_status: int | None = None,
        code: int | str | None = None,
        request_id: str | None = None,
        retryable: bool = False,
        may_be_accepted: bool = False,
        retry_after_s: float | None = None,
        scope: Scope | None = None,
        advice: str = "",
    ) -> None:
        if scope is not None:
            self.scope = scope
        self.message = message
        self.http_status = http_status
        self.code = code
        self.request_id = request_id
        self.retryable = retryable
        self.may_be_accepted = may_be_accepted
        self.retry_after_s = retry_after_s
        self.advice = advice
        super().__init__(message)

    def __str__(self) -> str:
        facts = [
            f"{name} {value}"
            for name, value in (
                ("HTTP", self.http_status),
                ("code", self.code),
                ("request", self.request_id),
            )
            if value not in (None, "")
        ]
        reason = self.message or "the service gave no reason"
        where = f" ({', '.join(facts)})" if facts else ""
        return f"{reason}{where}{f'. {self.advice}' if self.advice else ''}"


class AuthenticationError(ApiError):
    """The key or token is missing, wrong, not valid yet, or expired: correct the key or the clock.

    Source: Kling's error codes 1000 to 1004 with HTTP 401.
    """

    scope: Scope = Scope.ACCOUNT


class AccountError(ApiError):
    """The account is blocked, has no units left, or lacks the right; a person has to act."""

    scope: Scope = Scope.ACCOUNT


class InvalidRequestError(ApiError):
    """The request itself is wrong and will be rejected again: change it."""


class TaskNotFoundError(InvalidRequestError):
    """The service has no such task: it is too new, too old, or another account's.

    Check the id and the account. Kling answers an unknown id with HTTP 400 and code 1201.
    Source: public records of live calls, 2026-04 to 2026-09.

    Attributes:
        name: the id it was polled by, at the end of a wait; ``""`` for a single answer.
        polls: the number of polls in a row that did not find it; 0 for a single answer.
        polled_s: the seconds from the first of them to the last.
    """

    name: str = ""
    polls: int = 0
    polled_s: float = 0.0

    def __str__(self) -> str:
        if not self.polls:
            return super().__str__()
        return (
            f"the service does not know task {self.name}: polled {self.polls} times in "
            f"{self.polled_s:.0f} s, it last said: {super().__str__()}"
        )


class ContentRejectedError(ApiError):
    """Moderation rejected the content: submit another image.

    Source: Kling's error code 1301.
    """


class RateLimitError(ApiError):
    """Requests come too fast: wait ``retry_after_s``, then send the same request again.

    Source: Kling's error code 1302.
    """

    scope: Scope = Scope.PACE


class ConcurrencyLimitError(RateLimitError):
    """Every slot of the account is taken; nothing was created: wait for one that becomes free.

    A client waits by itself. Source: Kling's error code 1303, documented with HTTP 429.
    """


class ServiceError(ApiError):
    """The service, or a proxy in front of it, failed: try later."""


# -- The journal


class JournalError(KlingEffectsError):
    """The journal of paid jobs cannot be used, or has no such job; nothing was written.

    The message names the cause and what to do.
    """


class JournalBusyError(JournalError):
    """Another process owns the journal: wait for its end, or open with ``read_only=True``.

    Attributes:
        pid: the process that owns it; ``None`` where that is not known, as for the next two.
        host: the machine it runs on.
        since: when it opened the journal, in UTC.
    """

    def __init__(
        self,
        message: str,
        *,
        pid: int | None = None,
        host: str | None = None,
        since: datetime | None = None,
    ) -> None:
        self.pid = pid
        self.host = host
        self.since = since
        super().__init__(message)


class JournalDamagedError(JournalError):
    """The file is damaged; nothing of it was deleted. The message states how to go on.

    Attributes:
        path: where the damaged file is now; ``None`` where it stays and one job of it is damaged.
    """

    def __init__(self, message: str, *, path: Path | None = None) -> None:
        self.path = path
        super().__init__(message)


class JournalFullError(JournalError):
    """The disk is full or fails: this was not written, so nothing is submitted for it.

    Make room, then call again. What is written already can still be read.
    """


class JournalVersionError(JournalError):
    """The file has another version than this package writes; it was not touched.

    For a newer one update this package; open an older one for writing once, which updates it.

    Attributes:
        ours: the version this package writes.
        theirs: the version of the file.
    """

    def __init__(self, message: str, *, ours: int, theirs: int) -> None:
        self.ours = ours
        self.theirs = theirs
        super().__init__(message)


class JobStateError(JournalError):
    """A decision about a job that its state does not allow; nothing was changed.

    Attributes:
        external_task_id: the job's.
        state: the value of the ``JobState`` it is in, such as ``"succeeded"``.
        why: the reason, where the state alone is none; otherwise ``""``.
    """

    def __init__(self, external_task_id: str, state: object, done: str, why: str = "") -> None:
        self.external_task_id = external_task_id
        self.state: str = str(state)
        self.why = why
        reason = f": {why}" if why else ""
        super().__init__(f"{external_task_id} is {state} and cannot be {done}{reason}")


# -- A task and its video


class TaskFailedError(KlingEffectsError):
    """The task ended in failure; a submit with another image is a new task.

    Attributes:
        snapshot: the final snapshot; ``snapshot.message`` is the service's reason.
    """

    def __init__(self, snapshot: TaskSnapshot) -> None:
        self.snapshot = snapshot
        super().__init__(snapshot)

    def __str__(self) -> str:
        reason = self.snapshot.message or "the service gave no reason"
        request = f" (request {self.snapshot.request_id})" if self.snapshot.request_id else ""
        return f"task {self.snapshot.task_id} failed: {reason}{request}"


class TaskTimeoutError(KlingEffectsError, TimeoutError):
    """The policy's deadline passed before the task ended; the task goes on at the service.

    ``attach`` to it later, or raise ``PollPolicy.deadline_s``.

    Attributes:
        task_id: what to ``attach`` to later; ``None`` where only the external id is known.
        external_task_id: the caller's own id of the task; ``None`` where it is not known.
        deadline_s: the limit that passed, in seconds.
        latest: the last snapshot; ``None`` before the first answer.
        failure: why the last poll failed; ``None`` if it did not.
    """

    def __init__(
        self,
        *,
        task_id: str | None,
        external_task_id: str | None,
        deadline_s: float,
        latest: TaskSnapshot | None = None,
        failure: Exception | None = None,
    ) -> None:
        self.failure = failure
        self.task_id = task_id
        self.external_task_id = external_task_id
        self.deadline_s = deadline_s
        self.latest = latest
        super().__init__(task_id or external_task_id)

    def __str__(self) -> str:
        status = f"last status: {self.latest.raw_status}" if self.latest else "no status was read"
        failure = f"; the last poll failed: {self.failure}" if self.failure else ""
        return (
            f"task {self.task_id or self.external_task_id} did not end within "
            f"{self.deadline_s:g} s ({status}{failure}); if it exists, it goes on at the service: "
            "attach() to it later"
        )


class ResultMissingError(KlingEffectsError):
    """The task succeeded, but its answer names no video, also not after further polls.

    ``attach`` and ``refresh`` later, or send the service's support the task's id.

    Attributes:
        snapshot: the final snapshot.
    """

    def __init__(self, snapshot: TaskSnapshot) -> None:
        self.snapshot = snapshot
        super().__init__(snapshot)

    def __str__(self) -> str:
        return (
            f"task {self.snapshot.task_id} succeeded, but the service names no video; "
            "attach() and refresh() later, or send its support this id"
        )


class DownloadError(KlingEffectsError):
    """The video could not be downloaded whole; what was paid for is still at the service.

    ``download`` again: it goes on where it stopped. The message names the cause.
    """


class VideoExpiredError(DownloadError):
    """The video's address is no longer valid; ``refresh()`` the task for a fresh one.

    Kling deletes videos after 30 days. Source: Kling API changelog, 2024-10-25.
    """
