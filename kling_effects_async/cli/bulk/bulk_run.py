"""A bulk run from its options to its last line: checked, planned, run, summed up."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import kling_effects_async as kling
from kling_effects_async import cli
from kling_effects_async.cli.bulk.arguments import BulkArguments, split_scene
from kling_effects_async.cli.bulk.checks import CheckedRows, check_rows, left_out_line
from kling_effects_async.cli.bulk.external_ids import MetIds, met_ids
from kling_effects_async.cli.bulk.json_lines import estimate_as_json, summary_as_json
from kling_effects_async.cli.bulk.page import PageFacts, write_page
from kling_effects_async.cli.bulk.plan import (
    Plan,
    PlannedRow,
    by_line,
    estimate_lines,
    moment_of,
    plan_line,
    planned_rows,
)
from kling_effects_async.cli.bulk.record import RunRecord, opened_record
from kling_effects_async.cli.bulk.row_maker import Defaults
from kling_effects_async.cli.bulk.run import BulkRun, opened_run, run_rows
from kling_effects_async.cli.bulk.run_files import journal_of
from kling_effects_async.cli.bulk.run_state import RunState
from kling_effects_async.cli.bulk.sources import Rows, read_rows
from kling_effects_async.cli.bulk.summary import summary_lines
from kling_effects_async.cli.console import say
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.signals import Terminated
from kling_effects_async.clip_names import NameTemplate

__all__ = ["run_bulk"]

# How often the check and the report say how far they are.
_LINE_EACH_S = 5.0
_PREVIEWS = (
    "no key found, so these are previews made on this machine, not by Kling's model; for the real "
    "effect set KLING_API_KEY, or KLING_ACCESS_KEY and KLING_SECRET_KEY"
)


def run_bulk(words: tuple[str, ...], *, output: str, run: str | None, **options: Any) -> None:
    """Make all clips.

    Raises:
        Failure: not all went well, or it was stopped; says how to go on.
    """
    scene, sources = split_scene(words)
    if not sources:
        raise Failure(
            ExitCode.USAGE,
            [f"which photographs? After the scene {scene!r} name a folder, files, or a manifest"],
        )
    if options["is_one_more"] and run is None:
        run = f"again-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    arguments = BulkArguments(
        scene=None if scene is None else _scene_named(scene),
        sources=sources,
        output=cli.output_path.OutputPath(Path(output), is_folder=True, overwrite=False),
        run=run,
        **options,
    )
    secrets: list[str] = []
    with cli.messages.errors_as_failures(secrets):
        _run(arguments, secrets)


def _scene_named(name: str) -> str:
    """The scene as the service calls it; an unknown one as it is, with a warning later."""
    from kling_effects_async.scenes import find_scene

    return find_scene(name) or name


def _run(arguments: BulkArguments, secrets: list[str]) -> None:
    by = _moment(arguments.by)
    NameTemplate.read(arguments.name)
    for page in _report_path(arguments):
        _check_page(page)
    settings = cli.settings_file.settings_or_none(
        arguments.service, may_preview=arguments.may_preview, is_for_real=arguments.is_for_real
    )
    if settings is not None:
        secrets += cli.settings_file.secrets_of(settings.credentials)
    with ExitStack() as exits:
        journal = _journal(arguments, exits, is_preview=settings is None)
        rows = exits.enter_context(_rows(arguments, settings, journal))
        checked = _checked(rows, arguments)
        if settings is None:
            say(_PREVIEWS)
        run = BulkRun(
            arguments=arguments,
            state=RunState(
                to_do=Counter(checked.scenes), started_s=monotonic(), is_preview=settings is None
            ),
            secrets=tuple(secrets),
        )
        if arguments.is_dry:
            # An empty journal is not begun for a plan.
            known = journal if journal is not None and journal.exists() else None
            ids = exits.enter_context(met_ids())
            cli.runner.run(_plan(rows, ids, run, settings, known, by))
            return
        arguments.folder.mkdir(parents=True, exist_ok=True)
        arguments.output.check_folder()
        record = exits.enter_context(opened_record()) if arguments.report is not None else None
        started_at = datetime.now(UTC)
        stopped = _stopped(_clips(rows, run, settings, journal, record, by))
        if arguments.report is not None and record is not None:
            _write_page(Path(arguments.report), record, run, started_at)
    _sum_up(run, stopped)


def _write_page(path: Path, record: RunRecord, run: BulkRun, started_at: datetime) -> None:
    """Write the report, also of a run that was stopped."""
    state = run.state
    show = _said_sometimes(
        lambda number: f"report: {number:,} of {len(record):,} rows", run.arguments
    )
    facts = PageFacts(
        started_at=started_at,
        ended_at=datetime.now(UTC),
        slots=tuple(run.slots),
        failed=run.failures.path,
        is_over=not state.left,
        is_preview=state.is_preview,
    )
    try:
        write_page(path, record, run.arguments, facts, on_item=show)
    except OSError as error:
        say(f"the report {path} cannot be written: {error.strerror or error}")
    else:
        if not run.arguments.is_silent:
            say(f"report: {path}")


def _journal(arguments: BulkArguments, exits: ExitStack, *, is_preview: bool) -> Path | None:
    """The journal; of previews a temporary one, as no later run can know their tasks."""
    if not is_preview or not arguments.has_journal:
        return journal_of(arguments)
    return Path(exits.enter_context(TemporaryDirectory(prefix="kling-preview-")), "preview.db")


def _rows(
    arguments: BulkArguments, settings: kling.Settings | None, journal: Path | None
) -> AbstractContextManager[Rows]:
    return read_rows(
        arguments.sources,
        _defaults(arguments, settings),
        stdin=None if sys.stdin is None else sys.stdin.buffer,
        is_recursive=arguments.is_recursive,
        own=[arguments.folder, *([journal] if journal else []), *_report_path(arguments)],
        limit=arguments.limit,
    )


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = moment_of(text, datetime.now().astimezone())
    if moment is None:
        raise Failure(
            ExitCode.USAGE, [f"--by {text!r} is no time: write 18:00, or 2026-12-01 18:00"]
        )
    return moment


def _report_path(arguments: BulkArguments) -> list[Path]:
    return [] if arguments.report is None else [Path(arguments.report)]


def _check_page(path: Path) -> None:
    """Reject what no page can be written to: later all would be paid, and nothing shown of it."""
    if os.path.isdir(path):
        raise Failure(ExitCode.REJECTED_HERE, [f"--report {path} is a folder: name a file in it"])
    if not os.path.isdir(path.absolute().parent):
        what = f"there is no folder {path.parent} for the report: make it, or name another --report"
        raise Failure(ExitCode.REJECTED_HERE, [what])


def _defaults(arguments: BulkArguments, settings: kling.Settings | None) -> Defaults:
    return Defaults(
        scene=arguments.scene,
        model_name=arguments.model_name,
        mode=arguments.mode,
        duration_s=arguments.duration_s,
        is_to_prepare=arguments.is_to_prepare,
        service=None if settings is None else settings.service,
    )


def _checked(rows: Rows, arguments: BulkArguments) -> CheckedRows:
    """All rows and pictures, checked before anything is sent."""
    show = _said_sometimes(lambda number: f"checked {number:,} pictures", arguments)
    checked = check_rows(rows, with_pictures=True, on_row=show)
    failure = checked.failure()
    if failure is not None:
        raise failure
    left_out = left_out_line(checked)
    for line in [*([left_out] if left_out else []), *checked.warnings]:
        say(line)
    return checked


def _said_sometimes(line: Callable[[int], str], arguments: BulkArguments) -> Callable[[int], None]:
    """What says how far something is, at most every few seconds."""
    last_s = monotonic()

    def say_if_due(number: int) -> None:
        nonlocal last_s
        if monotonic() - last_s >= _LINE_EACH_S and not arguments.is_silent:
            last_s = monotonic()
            say(line(number))

    return say_if_due


async def _plan(
    rows: Rows,
    ids: MetIds,
    run: BulkRun,
    settings: kling.Settings | None,
    journal: Path | None,
    by: datetime | None,
) -> None:
    """Print what each row would come to, and say what all would cost and take."""
    arguments, plan = run.arguments, Plan()
    with cli.runner.stopped_gently():
        async with AsyncExitStack() as exits:
            client = (await opened_run(exits, run, settings, journal)).client
            async for planned in planned_rows(client, rows, ids, run=arguments.run):
                plan.add(planned)
                _print_planned(planned, run)
            estimate = await client.estimate(plan.scenes)
    now = datetime.now().astimezone()
    lines = [plan_line(plan), *estimate_lines(estimate, now)]
    for line in [*lines, *([by_line(estimate, by, now)] if by else []), "nothing was sent"]:
        say(line)
    if arguments.as_json:
        run.print_json(estimate_as_json(estimate, plan))


def _print_planned(planned: PlannedRow, run: BulkRun) -> None:
    row = planned.row
    if run.arguments.as_json:
        facts = {"event": "planned", "where": row.where, "scene": row.effect.scene}
        run.print_json(facts | {"what": planned.what, "note": planned.note})
        return
    note = f"  {planned.note}" if planned.note else ""
    run.print(os.fsencode(f"{planned.what:9}  {row.where}{note}"))


async def _clips(
    rows: Rows,
    run: BulkRun,
    settings: kling.Settings | None,
    journal: Path | None,
    record: RunRecord | None,
    by: datetime | None,
) -> None:
    async with AsyncExitStack() as exits:
        opened = await opened_run(exits, run, settings, journal)
        opened.record = record
        if by is not None:
            estimate = await opened.client.estimate(run.state.to_do)
            say(by_line(estimate, by, datetime.now().astimezone()))
        await run_rows(opened, rows, run)


def _stopped(main: Coroutine[Any, Any, None]) -> ExitCode | None:
    """The exit code of the signal that ended it; ``None`` if it came to its end."""
    try:
        cli.runner.run(main)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except (asyncio.CancelledError, Terminated):
        return ExitCode.TERMINATED
    return None


def _sum_up(run: BulkRun, stopped: ExitCode | None) -> None:
    arguments, state = run.arguments, run.state
    lines = list(summary_lines(state, run.failures, arguments, now_s=monotonic()))
    if run.stopped_by:
        lines.append(f"nothing more was sent: {run.stopped_by}")
    if state.left or state.uncertain:
        lines.append(f"go on with: {arguments.again_command(*_named_run(arguments))}")
    code = _code(run, stopped)
    if arguments.as_json:
        run.print_json(summary_as_json(state, code))
    if code is not ExitCode.DONE:
        raise Failure(code, lines, run.secrets)
    if not arguments.is_silent:
        for line in lines:
            say(line)


def _named_run(arguments: BulkArguments) -> list[str]:
    """What makes the same run of a command line with --again."""
    return ["--run", arguments.run or ""] if arguments.is_one_more else []


def _code(run: BulkRun, stopped: ExitCode | None) -> ExitCode:
    if stopped is not None:
        return stopped
    if run.state.uncertain:  # before any failure, because it may have been charged
        return ExitCode.UNCERTAIN
    if run.was_told_to_stop and run.state.left:
        return ExitCode.INTERRUPTED
    if run.stop_code is not None:
        return run.stop_code
    if run.failures.codes:
        return run.failures.code
    return ExitCode.NOT_PRINTED if run.is_unprinted else ExitCode.DONE
