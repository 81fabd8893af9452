"""One look at the service for the task of a job in doubt, and what a person can do then."""

from __future__ import annotations

from contextlib import suppress

from attrs import frozen

from kling_effects_async import (
    EffectsClient,
    Job,
    JobState,
    Journal,
    KlingEffectsError,
    RetryPolicy,
    Settings,
    TaskNotFoundError,
    TaskSnapshot,
)
from kling_effects_async.cli.commands import resume_command, settle_command
from kling_effects_async.cli.exit_codes import ExitCode
from kling_effects_async.cli.failure import Failure
from kling_effects_async.cli.talk import say
from kling_effects_async.journal.job import JobUpdate

__all__ = ["Ways", "look_up"]

# "Not found" is tried again like any trouble that may pass, and a person is waiting.
_SOON = RetryPolicy(attempts=3, base_s=0.2, max_pause_s=0.5)


@frozen(kw_only=True)
class Ways:
    """How to say to a person what can be done next.

    Attributes:
        journal: as the person named it.
        service, account: what ``--service`` and ``--account`` said.
    """

    journal: str
    service: str | None
    account: str | None

    def resume(self) -> str:
        """The command that waits for the task that was found."""
        return resume_command(
            journal=self.journal, service=self.service, account=self.account, download_to="."
        )

    def to_settle(self, job: Job) -> str:
        """The command that settles a job under the name of its own account."""
        return settle_command(
            job.external_task_id, journal=self.journal, service=self.service, account=job.account
        )

    def of_settling(self, name: str) -> list[str]:
        """What a person decides where nothing was found."""
        resubmit, abandon = (
            settle_command(
                name, journal=self.journal, service=self.service, account=self.account, how=how
            )
            for how in ("--resubmit", "--abandon")
        )
        return [f"if there is no such task: {resubmit}", f"to give it up: {abandon}"]


async def look_up(journal: Journal, job: Job, settings: Settings, *, ways: Ways) -> JobState:
    """Ask for the job's task by its external id; where it exists, the job gets it.

    Raises:
        Failure: the key is of another account, or nothing was found.
        KlingEffectsError: nobody could be asked.
    """
    name = job.external_task_id
    async with EffectsClient(
        settings.credentials,
        service=settings.service,
        account=ways.account,
        retry=_SOON,
        trust_env=True,
    ) as client:
        _check_account(job, client.account, ways)
        snapshot = await _found(client, name)
        finds_others = snapshot is None and await _finds_others(client, journal, job)
    if job.state is JobState.SUBMITTING:
        note = "its process died while it was sent"
        await journal.move(job.account, name, JobUpdate(JobState.UNCERTAIN, note=note))
    if snapshot is not None:
        say(f"found task {snapshot.task_id}: {snapshot.status}")
        say(f"go on with: {ways.resume()}")
        found = JobUpdate(JobState.ACCEPTED, note="a lookup found it", task_id=snapshot.task_id)
        await journal.move(job.account, name, found)
        return JobState.ACCEPTED
    raise Failure(ExitCode.UNCERTAIN, [_meaning(name, finds_others), *ways.of_settling(name)])


def _check_account(job: Job, ours: str, ways: Ways) -> None:
    if job.account != ours:
        what = f"{job.external_task_id} belongs to the account {job.account}, and the key is of"
        lines = [
            f"{what} {ours}: set its key and its service",
            f"if its key was changed: {ways.to_settle(job)}",
        ]
        raise Failure(ExitCode.SETTINGS, lines)


async def _found(client: EffectsClient, external_task_id: str) -> TaskSnapshot | None:
    with suppress(TaskNotFoundError):
        return await client.attach(external_task_id=external_task_id).refresh()
    return None


async def _finds_others(client: EffectsClient, journal: Journal, job: Job) -> bool:
    """Whether "not found" means something: another task is found by its external id."""
    known = await journal.known_task(job.account)
    if known is None:
        return False
    with suppress(KlingEffectsError):
        snapshot = await client.attach(external_task_id=known.external_task_id).refresh()
        return snapshot.task_id == known.task_id
    return False


def _meaning(name: str, finds_others: bool) -> str:
    if finds_others:
        return (
            f"the service does not know {name} and does find another task by its external id: "
            f"most likely {name} was never accepted"
        )
    return (
        f"the service does not find {name}, which proves nothing: no other task was found by its "
        "external id either. Look for it in the service's own list"
    )
