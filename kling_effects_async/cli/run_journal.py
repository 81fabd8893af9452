"""The job of a run, and its journal: what it has of the job before, and what is recorded after.

It is opened first and closed last. A command line that was run before is answered from what its job
left, before anything is sent.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from kling_effects_async import (
    BudgetExceededError,
    Effect,
    Job,
    JobState,
    JournalError,
    Service,
    Settings,
)
from kling_effects_async.cli.attempt import Attempt, Stage
from kling_effects_async.cli.console import say
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.finish import Report
from kling_effects_async.cli.hints import adopt_command
from kling_effects_async.cli.messages import in_our_words
from kling_effects_async.cli.output_path import OutputPath
from kling_effects_async.cli.service_choice import ServiceChoice
from kling_effects_async.cli.settings_file import account_of
from kling_effects_async.downloading.file_names import as_text
from kling_effects_async.images.checks import image_hash
from kling_effects_async.journal.budget import check_budget, expected_cost
from kling_effects_async.journal.job import UNSENT, UNSETTLED, JobUpdate
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.journal.store import MemoryStore
from kling_effects_async.protocol.requests import build_submit
from kling_effects_async.submitting.planning import make_job, random_id

if TYPE_CHECKING:
    from kling_effects_async.cli.run import RunArguments

__all__ = [
    "is_to_be_sent",
    "job_of",
    "note_on_earlier",
    "note_saved",
    "reject_ended",
    "reject_of_other_account",
    "report_of_earlier",
    "run_journal",
]

# DOWNLOADED too: a video may be downloaded again, to another path.
_SAVEABLE = (JobState.SUCCEEDED, JobState.DOWNLOADED)


def job_of(arguments: RunArguments, effect: Effect, settings: Settings | None) -> Job:
    """What is to be paid for. Blocks.

    With a journal the same command line has the same id, so that it is the same job.
    """
    is_derived = arguments.is_repeatable and arguments.external_task_id is None
    return make_job(
        effect,
        account="" if settings is None else account_of(settings, arguments.account),
        service=None if settings is None else settings.service.base_url,
        external_task_id=None if is_derived else arguments.external_task_id or random_id(),
        # To hash an image reads all of it; only a job that can be repeated needs that.
        image_hashes=[image_hash(i) if arguments.is_repeatable else "" for i in effect.images],
        now=datetime.now(UTC),
    )


@asynccontextmanager
async def run_journal(attempt: Attempt, account: str) -> AsyncIterator[SqliteStore | None]:
    """The opened journal, if the run has one; close the client before the block ends.

    A planned job that was not sent is abandoned, unless the same command line means it again:
    ``jobs resume`` would submit it next to whatever was run in its place.
    """
    if attempt.journal is None:
        yield None
        return
    async with SqliteStore(attempt.journal) as journal:
        try:
            yield journal
        finally:
            await _record_end(journal, account, attempt)


async def _record_end(journal: SqliteStore, account: str, attempt: Attempt) -> None:
    try:
        job = await journal.get(account, attempt.external_task_id or "")
        # The journal counts: an interrupted submit may have got its answer afterwards.
        attempt.stage = _stage_of(job)
        if job is not None:
            await _follow_up(journal, job, attempt)
    except JournalError as error:
        say(f"the end of this job could not be recorded in the journal: {in_our_words(str(error))}")


def _stage_of(job: Job | None) -> Stage:
    if job is None or job.state in UNSENT:
        return Stage.NOTHING_SENT
    if job.state in UNSETTLED:
        return Stage.SUBMITTING
    return Stage.NOTHING_SENT if job.task_id is None else Stage.ACCEPTED


async def note_saved(journal: SqliteStore, account: str, attempt: Attempt) -> None:
    """Write down where the video is as soon as it is there, lest a kill leave that unknown."""
    if attempt.path is None:  # it went to stdout
        return
    job = await journal.get(account, attempt.external_task_id or "")
    # Before the end of its task is recorded there is no step to DOWNLOADED; the end of the run
    # notes it then.
    if job is not None and job.state in _SAVEABLE:
        await _note_path(journal, job, attempt)


async def _note_path(journal: SqliteStore, job: Job, attempt: Attempt) -> None:
    assert attempt.path is not None
    path = await asyncio.to_thread(as_text, attempt.path)
    if (job.state, job.path) != (JobState.DOWNLOADED, path):
        await _move(journal, job, JobUpdate(JobState.DOWNLOADED, path=path))


async def _follow_up(journal: SqliteStore, job: Job, attempt: Attempt) -> None:
    attempt.task_id = job.task_id or attempt.task_id
    if attempt.path is not None:
        await _note_path(journal, job, attempt)
    elif job.state is JobState.PLANNED and attempt.is_repeatable:
        attempt.is_planned = True
    elif job.state is JobState.PLANNED:
        update = JobUpdate(JobState.ABANDONED, note="its run ended before it was sent")
        await _move(journal, job, update)


async def _move(journal: SqliteStore, job: Job, update: JobUpdate) -> None:
    await journal.move(job.account, job.external_task_id, update)


async def is_to_be_sent(
    job: Job,
    effect: Effect,
    service: Service,
    journal: SqliteStore | None,
    budget_units: Decimal | None,
) -> bool:
    """Whether its submit will be sent to the service; if not, the submit itself raises the reason.

    Raises:
        EffectRejectedError: the effect or its id cannot be meant.
    """
    # For its checks alone: the client builds the request that is sent.
    build_submit(service, effect, external_task_id=job.external_task_id)
    held = None if journal is None else await journal.get(job.account, job.external_task_id)
    # The first is continued; the second is a conflict, which the submit reports.
    if held is not None and (held.state not in UNSENT or held.fingerprint != job.fingerprint):
        return False
    store = journal or MemoryStore()
    expected = expected_cost(await store.recent_units(job.account, job.scene))
    try:
        committed = await store.committed(job.account)
        check_budget(job.scene, committed, expected, budget_units)
    except BudgetExceededError:
        return False
    return True


async def report_of_earlier(
    job: Job, journal: SqliteStore, service: Service, attempt: Attempt
) -> Report | None:
    """What the same command line made before, if its video is still where this one's goes.

    ``None``: there is something to do, to the end or from the beginning.

    Raises:
        Failure: it failed, was abandoned, belongs to another account, or its output is taken.
    """
    assert attempt.journal is not None
    reject_of_other_account(
        await journal.find(job.external_task_id),
        job,
        journal=attempt.journal,
        given_service=attempt.service,
        one_more=attempt.one_more or "",
    )
    held = await journal.get(job.account, job.external_task_id)
    if held is None or held.fingerprint != job.fingerprint:
        await asyncio.to_thread(attempt.output.check)
        return None
    return await _report_of_held(held, service, attempt)


async def _report_of_held(held: Job, service: Service, attempt: Attempt) -> Report | None:
    one_more = attempt.one_more or ""
    reject_ended(held, one_more)
    attempt.task_id = held.task_id
    name = attempt.name if held.task_id else None
    words = note_on_earlier(held, one_more)
    attempt.path = await asyncio.to_thread(_saved, held, attempt.output, name)
    if attempt.path is not None:
        where = await asyncio.to_thread(as_text, attempt.path)
        say(f"this job was done before, and is not paid again: its video is {where}; {one_more}")
        return _report(held, attempt.path, service, attempt)
    try:
        await asyncio.to_thread(attempt.output.check, name)
    except Failure as error:
        known = [words] if words is not None and held.task_id is not None else []
        raise Failure(error.code, [*error.lines, *known]) from None
    if words is not None:
        say(words)
    return None


def _is_its_video(held: Job, path: str, output: OutputPath) -> bool:
    """Whether the file that is there is this job's video, and nothing else of that name."""
    if held.state is JobState.SUCCEEDED:
        # A file called after the task appears when its video is whole; a kill can come before the
        # journal records it.
        return output.is_folder
    return held.state is JobState.DOWNLOADED and held.path == path


def _saved(held: Job, output: OutputPath, name: str | None) -> Path | None:
    """The job's video, if it is where this command line wants it. Blocks.

    Without --output the path in the journal is good enough.
    """
    path = output.path(name or "")
    if output.is_taken(name) and _is_its_video(held, as_text(path), output):
        return path
    if output.is_chosen or output.overwrite or held.state is not JobState.DOWNLOADED:
        return None
    return Path(held.path) if held.path and os.path.isfile(held.path) else None


def _report(held: Job, path: Path, service: Service, attempt: Attempt) -> Report:
    return Report(
        path=str(path),
        task_id=held.task_id or "",
        external_task_id=held.external_task_id,
        scene=attempt.scene,
        service=service.name,
        duration_s=None,
        units=None if held.units is None else f"{held.units:f}",
        created_at=None,
        updated_at=None,
        is_preview=False,
    )


def reject_ended(job: Job, one_more: str) -> None:
    """Reject a job that nothing more can come of.

    Args:
        one_more: says how to make another one.

    Raises:
        Failure: it failed, or was abandoned.
    """
    if job.state is JobState.FAILED:
        reason = job.message or "the service gave no reason"
        what = f"this job failed before, and nothing was sent now: task {job.task_id}: {reason}"
        raise Failure(ExitCode.TASK_FAILED, [what, one_more])
    if job.state is JobState.ABANDONED:
        what = f"this job was abandoned before, and nothing was sent now: {job.external_task_id}"
        raise Failure(ExitCode.REJECTED_HERE, [what, one_more])


def reject_of_other_account(
    found: Iterable[Job],
    job: Job,
    *,
    journal: str,
    given_service: ServiceChoice,
    one_more: str,
) -> None:
    """Reject a job that the same service may have accepted under another key already.

    Args:
        found: every job of its id.
        given_service: the values of ``--service`` and ``--profile``, to be repeated in commands.
        one_more: says how to make another job.

    Raises:
        Failure: names the account, and the ways on.
    """
    # What another service has under this id is another job; where an old journal names no
    # service, nothing shows that it is this one.
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


def note_on_earlier(job: Job, one_more: str) -> str | None:
    """What to say of a job that has a task, or may have one; ``None`` if it surely has none."""
    if job.state in UNSETTLED:
        return "this job was being submitted before, and its answer was lost: looking for its task"
    if job.task_id is None:
        return None
    if job.state is JobState.ACCEPTED:
        return f"this job was submitted before, and is not paid again: task {job.task_id}"
    where = f"; its video was saved: {job.path}" if job.path else ""
    return f"this job was done before, and is not paid again: task {job.task_id}{where}; {one_more}"
