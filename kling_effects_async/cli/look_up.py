"""One look at the service for the task of a job in doubt, and what a person can do then."""

from __future__ import annotations

from contextlib import suppress

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

__all__ = ["look_up"]

# "Not found" is tried again like any trouble that may pass, and a person is waiting.
_SOON = RetryPolicy(attempts=3, base_s=0.2, cap_s=0.5)


async def look_up(
    journal: Journal, job: Job, settings: Settings, *, shown: str, service: str | None
) -> JobState:
    """Ask for the job's task by its external id; where it exists, the job gets it.

    Args:
        shown: the journal as the person named it.
        service: what ``--service`` said.

    Raises:
        Failure: the key is of another account, or nothing was found.
        KlingEffectsError: nobody could be asked.
    """
    name = job.external_task_id
    async with EffectsClient(settings.credentials, service=settings.service, retry=_SOON) as client:
        _check_account(job, client.account)
        snapshot = await _found(client, name)
        finds_others = snapshot is None and await _finds_others(client, journal, job)
    if job.state is JobState.SUBMITTING:
        note = "its process died while it was sent"
        await journal.move(job.account, name, JobState.AMBIGUOUS, note=note)
    if snapshot is not None:
        say(f"found task {snapshot.task_id}: {snapshot.status}")
        say(f"go on with: {resume_command(journal=shown, service=service, download_to='.')}")
        await journal.move(
            job.account, name, JobState.ACCEPTED, note="a lookup found it", task_id=snapshot.task_id
        )
        return JobState.ACCEPTED
    raise Failure(ExitCode.UNCERTAIN, [_meaning(name, finds_others), *_ways(name, shown, service)])


def _check_account(job: Job, ours: str) -> None:
    if job.account != ours:
        what = f"{job.external_task_id} belongs to the account {job.account}, and the key is of"
        raise Failure(ExitCode.SETTINGS, [f"{what} {ours}: set its key and its service"])


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


def _ways(name: str, shown: str, service: str | None) -> list[str]:
    resubmit = settle_command(name, journal=shown, service=service, how="--resubmit")
    abandon = settle_command(name, journal=shown, service=service, how="--abandon")
    return [f"if there is no such task: {resubmit}", f"to give it up: {abandon}"]
