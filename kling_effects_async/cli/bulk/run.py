"""One bulk run: rows in, clips out, and what is said of it meanwhile."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from contextlib import AsyncExitStack, aclosing
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from attrs import define, field

import kling_effects_async as kling
from kling_effects_async import Done, EffectsClient, Event, Failed, Outcome, cli
from kling_effects_async.cli.bulk.arguments import BulkArguments
from kling_effects_async.cli.bulk.drawing import drawn
from kling_effects_async.cli.bulk.failed_rows import FailedRows
from kling_effects_async.cli.bulk.json_lines import event_as_json, row_outcome_as_json
from kling_effects_async.cli.bulk.record import RunRecord, recorded_row, times_of
from kling_effects_async.cli.bulk.row import Row
from kling_effects_async.cli.bulk.run_state import RunState
from kling_effects_async.cli.bulk.shown import Screen, shown_run
from kling_effects_async.cli.bulk.sources import Rows
from kling_effects_async.cli.bulk.summary import FailureTally, holds_back, reason_of
from kling_effects_async.cli.console import NotPrinted, json_line, not_printed, say, write_out
from kling_effects_async.cli.failures import ExitCode, without_secrets
from kling_effects_async.cli.jobs.resume_summary import code_of
from kling_effects_async.emulator import Clips

__all__ = ["BulkRun", "OpenRun", "opened_run", "run_rows"]

_SLOT_CHANGES = 10_000  # so many are enough for a drawing
# Rows in a row that did not reach the service: the others would not either.
_UNREACHED = 20


@define
class BulkRun:
    """What becomes of a run; filled as it goes on, because a signal may end it anywhere.

    Attributes:
        secrets: what must be cut out of every message.
        was_told_to_stop: by a Ctrl-C.
        stopped_by: why nothing more was sent, in words: the key, the account, the budget, or with
            --fail-fast a failure; ``""`` otherwise.
        stop_code: the exit code of that; ``None`` where the failures have their own.
        unreached: how many rows in a row got no answer from the service.
        is_unprinted: a line did not get to stdout.
        slots: when the account had how many slots, in seconds of POSIX time.
    """

    arguments: BulkArguments
    state: RunState
    failures: FailureTally = field(factory=FailureTally)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    was_told_to_stop: bool = False
    stopped_by: str = ""
    stop_code: ExitCode | None = None
    unreached: int = 0
    is_unprinted: bool = False
    slots: deque[tuple[float, int]] = field(factory=lambda: deque(maxlen=_SLOT_CHANGES))

    def hear(self, event: Event) -> None:
        """Take an event of the client."""
        self.state.hear(event, monotonic())
        if isinstance(event, kling.SlotsChanged):
            self.slots.append((event.at.timestamp(), event.size))
        if self.arguments.as_json:
            self.print_json(event_as_json(event))

    def print_json(self, facts: dict[str, Any]) -> None:
        """Print an object as a line."""
        shown = {
            name: without_secrets(value, self.secrets) if isinstance(value, str) else value
            for name, value in facts.items()
        }
        self.print(json_line(shown))

    def print(self, line: bytes) -> None:
        """Print a line; a stdout that cannot be written ends nothing that is paid."""
        try:
            write_out(line)
        except NotPrinted as error:
            if not self.is_unprinted:
                say(f"{not_printed(error)}; the run goes on")
            self.is_unprinted = True


@define
class OpenRun:
    """What a run works with while it is open.

    Attributes:
        journal: the client's; ``None`` without one.
        record: what became of the rows; ``None`` where nobody asks for it.
    """

    client: EffectsClient
    journal: kling.Journal | None
    record: RunRecord | None = None

    async def note(self, outcome: Outcome, row: Row, reason: str) -> None:
        """Put a row into the record."""
        if self.record is None:
            return
        history: tuple[kling.Transition, ...] = ()
        if self.journal is not None and outcome.external_task_id:
            account, name = self.client.account, outcome.external_task_id
            history = await self.journal.history(account, name)
        recorded = recorded_row(outcome, row, reason, times_of(history))
        await asyncio.to_thread(self.record.add, recorded)


async def opened_run(
    exits: AsyncExitStack, run: BulkRun, settings: kling.Settings | None, journal: Path | None
) -> OpenRun:
    """The client of the run; it and its journal are closed with the exits.

    Without settings its service is an emulator.
    """
    arguments = run.arguments
    opened = None if journal is None else await exits.enter_async_context(kling.Journal(journal))
    if settings is None:
        preview = cli.preview.preview_client(
            Clips(arguments.clips),
            timeout_s=arguments.timeout_s,
            journal=opened,
            on_event=run.hear,
        )
        return OpenRun(await exits.enter_async_context(preview), opened)
    client = cli.settings_file.client_of(
        settings,
        journal=opened,
        account=arguments.account,
        budget_units=arguments.budget_units,
        poll=kling.PollPolicy(deadline_s=arguments.timeout_s),
        on_event=run.hear,
    )
    return OpenRun(await exits.enter_async_context(client), opened)


async def run_rows(opened: OpenRun, rows: Rows, run: BulkRun) -> None:
    """Have every row made, show how it goes on, and print each clip's path as it is saved."""
    arguments, client = run.arguments, opened.client
    async with (
        FailedRows(arguments.failed_path) as failed,
        shown_run(run.state, client, is_silent=arguments.is_silent) as screen,
    ):
        outcomes = client.run_many(
            drawn(rows),
            run=arguments.run,
            download_to=arguments.folder,
            name=arguments.name,
            share=arguments.share,
        )
        with cli.runner.stopped_gently(partial(_drain, client, run, screen)):
            async with aclosing(outcomes):
                async for outcome in outcomes:
                    with screen.aside():
                        await _take(outcome, run, opened, failed)
                    run.failures.path = failed.path
                    if run.stopped_by:
                        client.drain()


def _drain(client: EffectsClient, run: BulkRun, screen: Screen) -> None:
    """What a first Ctrl-C does."""
    run.was_told_to_stop = True
    client.drain()
    running = cli.jobs.tally.counted(len(run.state.running), "task")
    with screen.aside():
        say(f"stopping: nothing more is sent, {running} to come; Ctrl-C again leaves at once")


async def _take(outcome: Outcome, run: BulkRun, opened: OpenRun, failed: FailedRows) -> None:
    row = outcome.item
    assert isinstance(row, Row)
    if isinstance(outcome, Failed) and run.arguments.is_skipping and _is_there(outcome.error):
        run.state.skip(row.effect.scene)
        await opened.note(outcome, row, "")
        return
    reason = "" if isinstance(outcome, Done) else reason_of(outcome.error)
    reason = without_secrets(reason, run.secrets)
    is_held_back = isinstance(outcome, Failed) and holds_back(outcome.error)
    run.state.add(outcome, scene=row.effect.scene, reason=reason, is_held_back=is_held_back)
    await opened.note(outcome, row, reason)
    is_unreached = isinstance(outcome, Failed) and isinstance(outcome.error, kling.TransportError)
    run.unreached = run.unreached + 1 if is_unreached else 0
    if isinstance(outcome, Failed):
        await _take_failure(outcome.error, row, reason, run, failed)
    if run.arguments.as_json:
        run.print_json(row_outcome_as_json(outcome, row))
    elif isinstance(outcome, Done) and outcome.path is not None:
        run.print(os.fsencode(outcome.path))


async def _take_failure(
    error: Exception, row: Row, reason: str, run: BulkRun, failed: FailedRows
) -> None:
    if holds_back(error):
        _stop(error, reason, run)
        return  # the same command line sends it, once it can be sent
    is_news = reason not in run.failures.examples
    run.failures.add(reason, row.where, code_of(error))
    # An uncertain row would be paid twice by whoever runs its manifest under another name.
    if not isinstance(error, kling.SubmissionUncertainError):
        await failed.add(row, reason)
    if is_news and not run.arguments.is_silent:
        say(f"{row.where}: {reason}")
    if run.arguments.is_fail_fast and not run.stopped_by:
        run.stopped_by = "a failure, and --fail-fast"
    if run.unreached >= _UNREACHED:
        _stop(error, reason, run)


def _stop(error: Exception, reason: str, run: BulkRun) -> None:
    if run.stopped_by or isinstance(error, kling.ClientDrainingError):
        return
    run.stopped_by, run.stop_code = reason, code_of(error)
    if not run.arguments.is_silent:
        say(f"nothing more is sent: {reason}")


def _is_there(error: Exception) -> bool:
    """Whether nothing was sent because a file has the clip's name."""
    return isinstance(error, kling.ClipNameTakenError)
