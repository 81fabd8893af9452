"""What the journal's job means for a command line that asks for it again; pure."""

from __future__ import annotations

from collections.abc import Iterable

from kling_effects_async import Job, JobState
from kling_effects_async.cli.commands import adopt_command
from kling_effects_async.cli.exit_codes import ExitCode
from kling_effects_async.cli.failure import Failure
from kling_effects_async.journal.job import UNSETTLED

__all__ = ["greeting", "reject_ended", "reject_of_other_account"]


def reject_ended(job: Job, one_more: str) -> None:
    """Reject a job that nothing more can come of.

    Args:
        one_more: says how to make another one.

    Raises:
        Failure: it failed, or was given up.
    """
    if job.state is JobState.FAILED:
        reason = job.message or "the service gave no reason"
        what = f"this job failed before, and nothing was sent now: task {job.task_id}: {reason}"
        raise Failure(ExitCode.TASK_FAILED, [what, one_more])
    if job.state is JobState.ABANDONED:
        what = f"this job was given up before, and nothing was sent now: {job.external_task_id}"
        raise Failure(ExitCode.REJECTED_HERE, [what, one_more])


def reject_of_other_account(
    found: Iterable[Job],
    job: Job,
    *,
    journal: str,
    given_service: str | None,
    one_more: str,
) -> None:
    """Reject a job that the same service may have accepted under another key already.

    Args:
        found: every job of its id.
        given_service: what ``--service`` said, to be said again.
        one_more: says how to make another job.

    Raises:
        Failure: names the account, and the ways on.
    """
    others = [each for each in found if each.service == job.service]
    if not others or any(each.account == job.account for each in others):
        return
    other = others[-1]
    adopt = adopt_command(other.account, journal=journal, service=given_service)
    raise Failure(
        ExitCode.REJECTED_HERE,
        [
            f"the journal has this job under the account {other.account} ({other.state}), and the "
            f"key is of {job.account}: nothing was sent",
            "if it is the same account and its key was changed, name it: "
            f"--account {other.account}; or take its jobs over: {adopt}",
            f"if it is another account: {one_more}",
        ],
    )


def greeting(job: Job, one_more: str) -> str | None:
    """What to say of a job that has a task, or may have one; ``None`` if it surely has none."""
    if job.state in UNSETTLED:
        return "this job was being submitted before, and its answer was lost: looking for its task"
    if job.task_id is None:
        return None
    if job.state is JobState.ACCEPTED:
        return f"this job was submitted before, and is not paid again: task {job.task_id}"
    where = f"; its video was saved: {job.path}" if job.path else ""
    return f"this job was done before, and is not paid again: task {job.task_id}{where}; {one_more}"
