"""Where an account's callbacks come in: its address, and what its client makes of a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import evolve

from kling_effects_async.journal.job import Job
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.polling.poller import Poller

if TYPE_CHECKING:
    from kling_effects_async.callbacks.receiver import CallbackReceiver
    from kling_effects_async.polling.announcements import Announcements

__all__ = ["AccountCallbacks"]


class AccountCallbacks:
    """One account's part of a receiver.

    Without a receiver it has no address, and nothing comes.
    """

    def __init__(self) -> None:
        self._address: str | None = None
        self._token = ""
        self._announcements: Announcements | None = None
        self._unsubscribe: Callable[[], None] = _nothing

    def __repr__(self) -> str:  # the address is a secret
        return f"<AccountCallbacks, {'closed' if self._address is None else 'open'}>"

    def open(
        self,
        receiver: CallbackReceiver,
        token: str,
        poller: Poller,
        harmless: Callable[[TaskSnapshot], TaskSnapshot],
        on_early: Callable[[str], object],
    ) -> None:
        """Hand the account's messages to the poller from now on.

        Args:
            harmless, on_early: see ``Announcements``.
        """
        # Imported here: a client without a receiver needs nothing of it.
        from kling_effects_async.polling.announcements import Announcements

        self.close()
        self._announcements = announcements = Announcements(poller, harmless, on_early)
        self._unsubscribe = receiver.subscribe(token, announcements.take)
        self._address, self._token = f"{receiver.public_url}/{token}", token

    def close(self) -> None:
        """Take nothing any more."""
        self._unsubscribe()
        self._unsubscribe = _nothing

    def addressed(self, job: Job) -> Job:
        """The job with our address, unless the caller gave it another one.

        An address that an earlier process gave it is replaced: the receiver may have moved.
        """
        if self._address is None or not (job.callback_url is None or self.is_of(job)):
            return job
        return evolve(job, callback_url=self._address)

    def is_of(self, job: Job) -> bool:
        """Whether callbacks about the job's task come in here."""
        url = job.callback_url
        return self._address is not None and url is not None and url.endswith(f"/{self._token}")

    def told_id(self, external_task_id: str) -> str | None:
        """The id of a task with this external id, which the service has told of by itself."""
        if self._announcements is None:
            return None
        return self._announcements.early_id(external_task_id)

    def accepted(self, job: Job) -> None:
        """The job's task is followed from now on; a message may have been quicker."""
        if self._announcements is not None:
            self._announcements.catch_up(job.external_task_id)


def _nothing() -> None:
    pass
