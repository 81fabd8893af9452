"""Everything that can go wrong, grouped by what the caller can do next.

KlingEffectsError
├── SettingsError              nothing was sent: complete or correct the settings
├── EffectRejectedError        nothing was sent: the effect cannot be what was meant
├── IdempotencyConflictError   nothing was sent: the external id belongs to another effect
│   └── ExternalIdTakenError   the service has a task under this id that nobody here submitted
├── AccountChangedError        nothing was sent: the journal holds this job under another account
├── BudgetExceededError        nothing was sent: raise the budget, or leave it
├── ImageRejectedError         nothing was sent: choose another image, or ``prepare`` this one
├── ImageUnreadableError       nothing was sent: this machine could not read the file, try again
├── ClientClosedError          the client was left while the wait was on: ``attach`` again
├── TransportError             no answer
│   ├── NetworkError           no connection, or one that broke
│   ├── RequestTimeoutError    one request took too long (also a ``TimeoutError``)
│   ├── TlsError               the server's certificate is not to be trusted
│   ├── ProxyError             the proxy rejected, or is not there
│   └── SubmissionUncertainError   a submit may have been accepted: look before you pay again
├── ReplyError                 an answer nobody can read
├── ApiError                   an answer that says no
│   ├── AuthenticationError    the key is wrong
│   ├── AccountError           the account may not, or cannot pay: a person has to act
│   ├── InvalidRequestError    this request will never be accepted
│   │   └── TaskNotFoundError  the service does not know the task (yet, or any more)
│   ├── ContentRejectedError   moderation: submit another image
│   ├── RateLimitError         too fast: wait, then the same again
│   │   └── ConcurrencyLimitError   all of the account's slots are taken
│   └── ServiceError           the service failed
├── JournalError               the journal cannot be used; see its class
│   ├── JournalBusyError       another process has it
│   ├── JournalDamagedError    moved aside, nothing deleted
│   ├── JournalFullError       the disk is full or fails: nothing is submitted until it is not
│   └── JournalVersionError    a newer version of this package wrote it
├── TaskFailedError            the task ended in failure
├── TaskTimeoutError           the deadline passed; the task goes on (also a ``TimeoutError``)
├── ResultMissingError         the task succeeded and names no video
└── DownloadError              the video could not be downloaded
    └── VideoExpiredError      its address is no longer valid
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

__all__ = [
    "AccountChangedError",
    "AccountError",
    "ApiError",
    "AuthenticationError",
    "BudgetExceededError",
    "ClientClosedError",
    "ConcurrencyLimitError",
    "ContentRejectedError",
    "DownloadError",
    "EffectRejectedError",
    "ExternalIdTakenError",
    "IdempotencyConflictError",
    "ImageRejectedError",
    "ImageUnreadableError",
    "InvalidRequestError",
    "JobStateError",
    "JournalBusyError",
    "JournalDamagedError",
    "JournalError",
    "JournalFullError",
    "JournalVersionError",
    "KlingEffectsError",
    "NetworkError",
    "ProxyError",
    "RateLimitError",
    "ReplyError",
    "RequestTimeoutError",
    "ResultMissingError",
    "Scope",
    "ServiceError",
    "SettingsError",
    "SubmissionUncertainError",
    "TaskFailedError",
    "TaskNotFoundError",
    "TaskTimeoutError",
    "TlsError",
    "TransportError",
    "VideoExpiredError",
]


class Scope(enum.Enum):
    """Whom an error concerns, and so what else would meet it now.

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
    """The root of every error this package raises on purpose.

    All of them can be pickled and copied whole, so that an id also leaves a worker process.

    Attributes:
        retryable: whether the same call can succeed later without anybody doing anything.
        retry_after_s: how long the service asks to wait before it, in seconds; ``None`` if it
            does not ask, or asks for no time at all.
        scope: whom the error concerns.
    """

    retryable: bool = False
    retry_after_s: float | None = None
    scope: Scope = Scope.JOB

    def __reduce__(self) -> tuple[Any, ...]:
        return _revived, (type(self), self.args, self.__dict__)


def _revived(
    kind: type[KlingEffectsError], args: tuple[Any, ...], members: dict[str, Any]
) -> KlingEffectsError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(members)
    return error


class SettingsError(KlingEffectsError):
    """A setting is missing or contradicts another; nothing was sent."""


class EffectRejectedError(KlingEffectsError, ValueError):
    """The effect cannot be what was meant (a dual scene with one image); nothing was sent."""


class BudgetExceededError(KlingEffectsError):
    """One more task could cost more than the budget has left; nothing was sent.

    Attributes:
        limit_units: the budget.
        spent_units: what ended tasks cost; where that was not told, what was expected.
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
        problems: every reason found, each one a sentence that says what to do.
    """

    def __init__(self, image: str, problems: Sequence[str]) -> None:
        self.image = image
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__(image, self.problems)

    def __str__(self) -> str:
        return f"{self.image}: {' '.join(self.problems)}"


class ImageUnreadableError(KlingEffectsError):
    """This machine could not read an image file; nothing is known to be wrong with the picture.

    It has too many files open, or too little memory, or the disk or the network of the file fails.
    Nothing whole was sent, so the same call again is safe, and may succeed.

    Attributes:
        image: what the image is called in messages, such as its file name.
        reason: what the system said.
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


class ClientClosedError(KlingEffectsError):
    """The client was left while something was under way; a task goes on at the service."""


class TransportError(KlingEffectsError):
    """No answer came back.

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
    """One request took longer than its limit."""


class TlsError(TransportError):
    """The server's certificate is not to be trusted; the connection is never made without one."""

    retryable: bool = False


class ProxyError(TransportError):
    """The proxy between us and the service rejected the connection, broke it, or is not there.

    Attributes:
        retryable: whether the same request can succeed later without anybody doing anything.
    """

    def __init__(self, message: str, *, sent: bool = True, retryable: bool = False) -> None:
        self.retryable: bool = retryable
        super().__init__(message, sent=sent)


class SubmissionUncertainError(TransportError):
    """The answer to a submit was lost: the service may have accepted the task, and charge for it.

    Do not submit again before you looked: ``client.attach(external_task_id=...)`` finds the task
    where the service looks tasks up by external id.

    Attributes:
        external_task_id: the id the task was submitted with.
        scene: the scene it was submitted for.
    """

    retryable: bool = False  # a person looks first

    def __init__(self, message: str, *, external_task_id: str, scene: str) -> None:
        self.external_task_id = external_task_id
        self.scene = scene
        super().__init__(message, sent=True)


class ReplyError(KlingEffectsError):
    """An answer came that nobody can read: an HTML page, a cut body, another task's answer.

    Attributes:
        http_status: the answer's status.
        request_id: the service's id for the request, for its support.
        may_be_accepted: whether a submit answered like this can have created a task all the same.
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
    """The service answered, and its answer says no.

    Attributes:
        http_status: the answer's HTTP status.
        code: the business code, a number with Kling, a word with some gateways.
        message: the service's own words.
        request_id: the service's id for the request, for its support.
        may_be_accepted: whether a submit answered like this can have created a task all the same.
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
        said = self.message or "the service gave no reason"
        where = f" ({', '.join(facts)})" if facts else ""
        return f"{said}{where}{f'. {self.advice}' if self.advice else ''}"


class AuthenticationError(ApiError):
    """The key or token is missing, wrong, not valid yet, or expired."""

    scope: Scope = Scope.ACCOUNT


class AccountError(ApiError):
    """The account is blocked, has nothing left, or lacks the right; a person has to act."""

    scope: Scope = Scope.ACCOUNT


class InvalidRequestError(ApiError):
    """The request itself is wrong and will be rejected again."""


class TaskNotFoundError(InvalidRequestError):
    """The service does not know the task: it is too young, too old, or another account's.

    Attributes:
        name: the id it was polled by, at the end of a wait; ``""`` for a single answer.
        polls: how often it was polled in a row without success, over ``polled_s`` seconds.
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
    """Moderation rejected the content; another image may pass."""


class RateLimitError(ApiError):
    """Requests come too fast; the same request is fine after a pause."""

    scope: Scope = Scope.PACE


class ConcurrencyLimitError(RateLimitError):
    """Every slot of the account is taken; nothing was created, and one becomes free."""


class ServiceError(ApiError):
    """The service, or a proxy in front of it, failed."""


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

    Attributes:
        task_id: what to ``attach`` to later; ``None`` where only the external id is known.
        external_task_id: the caller's own id of the task.
        deadline_s: the limit that passed, in seconds.
        latest: the last snapshot seen, if any.
        failure: why the last poll had no useful answer, if it had none.
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
        heard = f"last status: {self.latest.raw_status}" if self.latest else "no status was heard"
        failure = f"; the last poll failed: {self.failure}" if self.failure else ""
        return (
            f"task {self.task_id or self.external_task_id} did not end within "
            f"{self.deadline_s:g} s ({heard}{failure}); if it exists, it goes on at the service: "
            "attach() to it later"
        )


class ResultMissingError(KlingEffectsError):
    """The task succeeded, but its answer names no video, even after asking again.

    Attributes:
        snapshot: the final snapshot.
    """

    def __init__(self, snapshot: TaskSnapshot) -> None:
        self.snapshot = snapshot
        super().__init__(snapshot)

    def __str__(self) -> str:
        return (
            f"task {self.snapshot.task_id} succeeded, but the service names no video; "
            "attach() and refresh() later, or show the service this id"
        )


class DownloadError(KlingEffectsError):
    """The video could not be fetched whole; what was paid for is still at the service."""


class VideoExpiredError(DownloadError):
    """The video's address is no longer valid; ``refresh()`` the task for a fresh one."""


class JournalError(KlingEffectsError):
    """The journal of paid jobs cannot do what was asked; nothing was written."""


class JournalBusyError(JournalError):
    """Another process owns the journal: wait for its end, or open with ``read_only=True``.

    Attributes:
        pid: the process that owns it; ``None`` where nobody knows.
        host: the machine it runs on.
        since: when it opened the journal.
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


class JournalVersionError(JournalError):
    """The file has another version than this package writes; it was not touched.

    Attributes:
        ours: the version this package writes.
        theirs: the version of the file.
    """

    def __init__(self, message: str, *, ours: int, theirs: int) -> None:
        self.ours = ours
        self.theirs = theirs
        super().__init__(message)


class JournalDamagedError(JournalError):
    """The file is not whole; nothing of it was deleted.

    Attributes:
        path: where the damaged file is now; ``None`` where it stays and one job of it is damaged.
    """

    def __init__(self, message: str, *, path: Path | None = None) -> None:
        self.path = path
        super().__init__(message)


class JournalFullError(JournalError):
    """The disk is full or fails: this was not written, so nothing may be submitted for it.

    What is written already can still be read, and a later write is tried again.
    """


class JobStateError(JournalError):
    """What was decided about a job cannot be done in the state it is in; nothing was changed.

    Attributes:
        external_task_id: the job's.
        state: the ``JobState`` it is in, such as ``"succeeded"``.
    """

    def __init__(self, external_task_id: str, state: object, done: str, why: str = "") -> None:
        self.external_task_id = external_task_id
        self.state: str = str(state)
        self.why = why
        told = f": {why}" if why else ""
        super().__init__(f"{external_task_id} is {state} and cannot be {done}{told}")


class IdempotencyConflictError(KlingEffectsError):
    """The external id belongs to a job with other content; nothing was planned or sent.

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
    """The service has a task under this external id, and nobody here submitted it.

    It may be another program's, or one whose journal is lost. It is not adopted, because its clip
    need not be of these images. ``attach(task_id)`` gets it all the same, and
    ``SubmitPolicy(on_taken="adopt")`` takes such tasks for one's own.

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

    A rotated key looks like a new account unless the account has a name of its own.

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
