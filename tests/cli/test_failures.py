"""Exit codes and last lines: a script knows what happened, and a paid task is never lost."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kling_effects_async import errors
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.cli.messages import exit_code_of
from kling_effects_async.emulator import Clips, Emulator, Fault
from tests.support.command_line import Ended, acceptance, kling, kling_at, lines_until, started

AT_ONCE = 1e6  # tasks take 40 to 90 emulated seconds
NEVER = 0.001
# The task that may exist cannot be looked up, and no second try is made.
NO_LOOK = Fault.json(403, {"code": 1103, "message": "no right to look"}, on="query")


def emulator(**options: object) -> Emulator:
    return Emulator(**{"clips": Clips.STOCK, "speed": AT_ONCE, **options})  # type: ignore[arg-type]  # as written


async def go_on(at: Emulator, ended: Ended, folder: Path) -> Ended:
    """Do what the last line of a failed command says."""
    return await kling_at(at, *shlex.split(ended.last_command), folder=folder)


def test_a_journal_without_a_key_says_how_to_go_on(cat: Path, tmp_path: Path) -> None:
    ended = kling("run", "squish", cat, "--journal", "jobs.db", folder=tmp_path)
    assert (ended.code, ended.out) == (ExitCode.SETTINGS, "")
    assert "Without --journal and --budget-units this makes a preview" in ended.err
    assert "kling-effects emulate" in ended.err


async def test_a_rejection_of_the_service_is_6(cat: Path, tmp_path: Path) -> None:
    async with emulator() as at:
        at.fail_next(Fault.business_code(1301))
        ended = await kling_at(at, "run", "squish", cat, folder=tmp_path)
    assert (ended.code, ended.out) == (ExitCode.REJECTED_THERE, "")
    assert "Submit another image" in ended.err
    assert "fetch" not in ended.err


async def test_a_server_that_is_not_to_be_trusted_is_5(cat: Path, tmp_path: Path) -> None:
    async with emulator() as at:
        environ = {"KLING_SERVICE": at.url.replace("http:", "https:"), "KLING_API_KEY": "test-key"}
        ended = await asyncio.to_thread(kling, "run", "squish", cat, folder=tmp_path, **environ)
    assert (ended.code, ended.out) == (ExitCode.NO_ANSWER, "")
    assert "fetch" not in ended.err


async def test_a_failed_task_is_7_with_the_reason_and_nothing_to_fetch(
    cat: Path, tmp_path: Path
) -> None:
    async with emulator(speed=NEVER) as at:
        at.fail_next(Fault.status_word("failed"))
        ended = await kling_at(at, "run", "squish", cat, folder=tmp_path)
    assert ended.code == ExitCode.TASK_FAILED
    assert at.ledger.entries[0].task_id in ended.err
    assert "fetch" not in ended.err


async def test_a_timeout_is_8_and_its_last_line_gets_the_video_later(
    cat: Path, tmp_path: Path
) -> None:
    async with emulator() as at:
        at.fail_next(Fault.status_word("processing"))
        arguments = ["run", "squish", cat, "-o", "a b.mp4", "--timeout-s", "0.5"]
        ended = await kling_at(at, *arguments, folder=tmp_path)
        assert (ended.code, ended.out) == (ExitCode.TIMED_OUT, "")
        assert "goes on at the service" in ended.err
        fetched = await go_on(at, ended, tmp_path)
    assert (fetched.code, fetched.out) == (0, "a b.mp4\n")
    assert at.ledger.total == 1


async def test_a_lost_answer_is_9_and_its_last_line_finds_the_paid_task(
    cat: Path, tmp_path: Path
) -> None:
    async with emulator(lists_tasks=False) as at:
        at.fail_next(Fault.cut_after_reading(accepted=True))
        at.fail_next(NO_LOOK)
        ended = await kling_at(at, "run", "squish", cat, "-o", "a.mp4", folder=tmp_path)
        assert (ended.code, ended.out) == (ExitCode.UNCERTAIN, "")
        assert at.ledger.entries[0].external_task_id in ended.err  # type: ignore[operator]  # ours
        fetched = await go_on(at, ended, tmp_path)
    assert (fetched.code, fetched.out) == (0, "a.mp4\n")
    assert at.ledger.total == 1


async def test_a_video_that_was_not_saved_is_10_and_its_last_line_saves_it(
    cat: Path, tmp_path: Path
) -> None:
    """Fault 53: what is done but not on disk has an exit code of its own."""
    async with emulator() as at:
        at.fail_next(Fault.expired(), times=2)
        ended = await kling_at(at, "run", "squish", cat, folder=tmp_path)
        assert (ended.code, ended.out) == (ExitCode.NOT_SAVED, "")
        assert f"task {at.ledger.entries[0].task_id} is done" in ended.err
        fetched = await go_on(at, ended, tmp_path)
    assert fetched.out == f"squish-{at.ledger.entries[0].task_id}.mp4\n"


async def test_the_command_to_go_on_repeats_the_service_it_was_told(
    cat: Path, tmp_path: Path
) -> None:
    async with emulator() as at:
        at.fail_next(Fault.expired(), times=2)
        arguments = ["run", "squish", cat, "--service", at.url]
        environ = {"KLING_API_KEY": at.api_key}
        ended = await asyncio.to_thread(kling, *arguments, folder=tmp_path, **environ)
        assert f"--service {at.url}" in ended.last_command


async def test_fetch_takes_the_external_id_too(cat: Path, tmp_path: Path) -> None:
    async with emulator() as at:
        arguments = ["run", "squish", cat, "--external-task-id", "order-42"]
        await kling_at(at, *arguments, folder=tmp_path)
        arguments = ["fetch", "--external-task-id", "order-42", "-o", "again.mp4"]
        ended = await kling_at(at, *arguments, folder=tmp_path)
    assert (ended.code, ended.out) == (0, "again.mp4\n")


async def test_fetch_rejects_an_output_that_exists_before_it_asks(tmp_path: Path) -> None:
    (tmp_path / "123.mp4").touch()
    async with emulator() as at:
        ended = await kling_at(at, "fetch", "123", "--timeout-s=1", folder=tmp_path)
    assert (ended.code, at.requests.total()) == (ExitCode.REJECTED_HERE, 0)


def test_fetch_makes_no_preview_without_a_key(tmp_path: Path) -> None:
    assert kling("fetch", "123", folder=tmp_path).code == ExitCode.SETTINGS


@pytest.mark.parametrize("ids", [[], ["1", "--external-task-id=a"]])
def test_fetch_wants_exactly_one_id(ids: list[str], tmp_path: Path) -> None:
    assert kling("fetch", *ids, folder=tmp_path).code == ExitCode.USAGE


# -- stopped from outside


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)],
)
async def test_a_stopped_wait_names_the_paid_task_and_the_command_that_gets_it(
    number: signal.Signals, code: ExitCode, cat: Path, tmp_path: Path
) -> None:
    """Fault 34: once is enough, nothing new is submitted, and the task is not lost."""
    async with emulator(speed=NEVER) as at:
        process = await started(at, "run", "squish", cat, folder=tmp_path)
        said = await lines_until(process, "submitted")
        process.send_signal(number)
        out, err = await process.communicate()
    task_id = at.ledger.entries[0].task_id
    assert (process.returncode, out) == (code, b"")
    assert f"the paid task {task_id} goes on" in err.decode()
    assert err.decode().splitlines()[-1].endswith(f"-o squish-{task_id}.mp4 {task_id}")
    assert "Traceback" not in said + err.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
async def test_stopped_while_submitting_it_says_that_the_task_may_exist(
    cat: Path, tmp_path: Path
) -> None:
    async with emulator() as at:
        at.fail_next(Fault.silence(accepted=True))
        process = await started(
            at, "run", "squish", cat, "--external-task-id", "order-42", folder=tmp_path
        )
        await acceptance(at)
        process.send_signal(signal.SIGINT)
        await lines_until(process, "Ctrl-C again leaves at once")
        process.send_signal(signal.SIGINT)
        _out, err = await process.communicate()
    assert process.returncode == ExitCode.INTERRUPTED
    assert "the task may exist and be charged" in err.decode()
    assert err.decode().splitlines()[-1].endswith("--external-task-id=order-42")


# -- what is never said


@pytest.mark.parametrize("debug", ["", "1"])
async def test_a_key_is_not_shown_even_if_the_service_repeats_it(
    debug: str, cat: Path, tmp_path: Path
) -> None:
    """Fault 67: keys stay out of all outputs, tracebacks included."""
    secret = "Secret-0123456789-of-the-account"
    async with emulator(bearer_keys=[secret]) as at:
        at.fail_next(Fault.json(401, {"code": 1002, "message": f"{secret} is no key"}))
        environ = {"KLING_SERVICE": at.url, "KLING_API_KEY": secret}
        environ["KLING_EFFECTS_DEBUG"] = debug
        ended = await asyncio.to_thread(kling, "run", "squish", cat, folder=tmp_path, **environ)
    assert ended.code == ExitCode.REJECTED_THERE
    assert "... is no key" in ended.err
    assert ("Traceback" in ended.err) == bool(debug)
    assert secret not in ended.out + ended.err


async def test_a_signed_address_is_not_shown_when_its_download_fails(
    cat: Path, tmp_path: Path
) -> None:
    """Fault 67: the signature of a video's address is a secret."""
    async with emulator() as at:
        at.fail_next(Fault.expired(), times=2)
        ended = await kling_at(at, "run", "squish", cat, "--json", folder=tmp_path)
    assert "/media/" in ended.err
    assert "?..." in ended.err
    assert "=" not in ended.err.split("?...")[0].rpartition("/media/")[2]
    assert ended.err.count("?") == 1


async def test_a_service_cannot_steer_the_terminal(cat: Path, tmp_path: Path) -> None:
    async with emulator() as at:
        at.fail_next(Fault.json(400, {"code": 1201, "message": "bad\n\x1b[2J\x07 field"}))
        ended = await kling_at(at, "run", "squish", cat, folder=tmp_path)
    assert ended.err.splitlines()[-1].startswith("kling-effects: bad ?[2J? field")
    assert not {"\x1b", "\x07"} & set(ended.err)


# -- the table


def all_errors(kind: type[errors.KlingEffectsError]) -> Iterator[type[errors.KlingEffectsError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from all_errors(narrower)


@pytest.mark.parametrize(
    "kind", list(all_errors(errors.KlingEffectsError)), ids=lambda k: k.__name__
)
def test_every_error_has_an_exit_code_that_help_explains(
    kind: type[errors.KlingEffectsError], tmp_path: Path
) -> None:
    code = exit_code_of(kind.__new__(kind))
    assert code is not ExitCode.DONE
    shown = " ".join(kling("--help", folder=tmp_path).out.split())
    assert f"{code.value} {code.meaning}" in shown
