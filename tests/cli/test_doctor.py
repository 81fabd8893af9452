"""``kling-effects doctor``: whether a run would work, found out for nothing."""

from __future__ import annotations

import asyncio
import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from kling_effects_async import AccessKeys, BearerToken, Service, Settings, SingleImageEffect
from kling_effects_async.cli.doctor.diagnosis import checks_of
from kling_effects_async.cli.doctor.origins import FileProfile, setting_origins
from kling_effects_async.cli.doctor.probe import Probe
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.emulator import Clips, Emulator
from tests.support.command_line import Ended, kling, kling_at, python
from tests.support.settings_file import settings_path, write_settings

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
PAIR = Settings(AccessKeys("access-key", "a-secret-key-of-thirty-two-bytes"), Service.official())
TOKEN = Settings(BearerToken("test-key"), Service.vapi())


def check(ended: Ended, name: str) -> Any:
    (found,) = [each for each in json.loads(ended.out)["checks"] if each["name"] == name]
    return found


def setting(ended: Ended, name: str) -> Any:
    (found,) = [each for each in json.loads(ended.out)["settings"] if each["name"] == name]
    return found


async def test_with_a_key_a_run_would_work_and_nothing_is_paid(cat: Path, tmp_path: Path) -> None:
    async with Emulator(clips=Clips.STOCK, speed=1e6) as emulator:
        async with emulator.client() as client:
            await client.run(SingleImageEffect("squish", image=cat))
        ended = await kling_at(emulator, "doctor", "--json", folder=tmp_path)
    told = json.loads(ended.out)
    assert (ended.code, ended.err) == (0, "")
    assert (told["would_run"], told["exit_code"], told["is_preview"]) == (True, 0, False)
    assert emulator.ledger.total == 1
    assert check(ended, "clock")["message"] == "as the service's"
    assert check(ended, "list")["message"].startswith("1 task on its first page, the newest made l")
    assert check(ended, "lookup")["message"] == "tasks are found by their external ids"


async def test_a_running_task_shows_how_old_the_list_is(cat: Path, tmp_path: Path) -> None:
    async with Emulator(clips=Clips.STOCK, speed=0.001) as emulator:
        async with emulator.client() as client:
            await client.submit(SingleImageEffect("squish", image=cat))
        ended = await kling_at(emulator, "doctor", "--json", folder=tmp_path)
    assert check(ended, "list")["message"].endswith("as new as queries of single tasks")


async def test_a_service_without_list_and_lookup_still_shows_whether_it_takes_the_key(
    tmp_path: Path,
) -> None:
    async with Emulator(lists_tasks=False, finds_external_ids=False) as emulator:
        ended = await kling_at(emulator, "doctor", "--json", folder=tmp_path)
        wrong = await asyncio.to_thread(
            kling,
            *["doctor", "--service", emulator.url],
            folder=tmp_path,
            KLING_API_KEY="sk-of-somebody-else",
        )
    assert ended.code == 0
    assert "has no list of tasks" in check(ended, "list")["message"]
    assert check(ended, "lookup")["state"] == "unknown"
    assert wrong.code == ExitCode.REJECTED_THERE
    assert "a run would not work: " in wrong.err


async def test_a_missing_list_that_checks_no_key_is_no_proof_of_a_key(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/effects"):
            return web.json_response({"code": 404, "message": "no such path"}, status=404)
        return web.json_response({"code": 1002, "message": "api key not found"}, status=401)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        at = {"KLING_SERVICE": str(server.make_url("")), "KLING_API_KEY": "sk-of-nobody-0123"}
        ended = await asyncio.to_thread(kling, "doctor", folder=tmp_path, **at)
    assert ended.code == ExitCode.REJECTED_THERE


async def test_a_service_that_does_not_find_external_ids_is_warned_of(
    cat: Path, tmp_path: Path
) -> None:
    async with Emulator(clips=Clips.STOCK, speed=1e6, finds_external_ids=False) as emulator:
        async with emulator.client() as client:
            await client.submit(SingleImageEffect("squish", image=cat))
        ended = await kling_at(emulator, "doctor", "--json", folder=tmp_path)
    assert ended.code == 0
    assert check(ended, "lookup")["state"] == "warning"


async def test_a_clock_that_is_wrong_is_measured_by_the_services_date(tmp_path: Path) -> None:
    async with Emulator(wall=lambda: time.time() + 300) as emulator:
        ended = await kling_at(emulator, "doctor", "--json", folder=tmp_path)
    assert re.search("this clock is (299|300|301) s behind", check(ended, "clock")["message"])


def test_a_service_that_is_not_there_is_the_exit_code_of_a_run(tmp_path: Path) -> None:
    at = {"KLING_API_KEY": "sk-nobody-listens", "KLING_SERVICE": "http://127.0.0.1:9"}
    ended = kling("doctor", folder=tmp_path, **at)
    assert ended.code == ExitCode.NO_ANSWER
    assert "answer         failed: no connection to gateway" in ended.out


def test_without_a_key_the_emulator_is_checked_and_it_says_what_to_do(tmp_path: Path) -> None:
    ended = kling("doctor", "--json", folder=tmp_path)
    assert ended.code == 0
    assert json.loads(ended.out)["is_preview"]
    assert "set KLING_API_KEY" in check(ended, "emulator")["message"]
    assert json.loads(ended.out)["settings_file"] == str(settings_path(tmp_path))


def test_without_a_key_and_an_emulator_a_run_would_not_work(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["av"] = None
from kling_effects_async.cli import main
sys.exit(main(["doctor"]))
"""
    ended = python(code, tmp_path)
    assert ended.returncode == ExitCode.SETTINGS
    assert 'pip install "kling-effects-async[emulator]"' in ended.stdout


@pytest.mark.parametrize("option", ["--journal=jobs.db", "--budget-units=5", "--service=vapi"])
def test_what_is_not_for_a_preview_needs_a_key(option: str, tmp_path: Path) -> None:
    ended = kling("doctor", option, folder=tmp_path)
    assert ended.code == ExitCode.SETTINGS
    assert "a run would not work: no key found" in ended.err


async def test_a_journal_that_cannot_be_used_is_found(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_text("no journal at all" * 100)
    async with Emulator() as emulator:
        line = ["doctor", "--journal", "jobs.db", "--json"]
        ended = await kling_at(emulator, *line, folder=tmp_path)
        line[2] = "new.db"
        other = await kling_at(emulator, *line, folder=tmp_path)
    assert ended.code == ExitCode.SETTINGS
    assert check(ended, "journal file")["state"] == "failed"
    assert (other.code, (tmp_path / "new.db").exists()) == (0, False)


# -- which setting won


async def test_the_settings_that_win_are_those_that_a_run_uses(tmp_path: Path) -> None:
    async with Emulator() as emulator:
        file = 'service = "vapi"\napi_key = "sk-of-the-file-0123"\naccount = "f"\ntimeout_s = 1'
        write_settings(tmp_path, f"[kling]\n{file}")
        line = ["doctor", "--json", "--timeout-s", "9"]
        ended = await kling_at(emulator, *line, folder=tmp_path)
    assert ended.code == 0
    assert setting(ended, "key") == {
        "name": "key",
        "value": "a bearer token",
        "source": "KLING_API_KEY",
        "overridden": [
            {"value": "a bearer token", "source": "[kling] api_key of the settings file"}
        ],
    }
    assert (setting(ended, "service")["source"]) == "KLING_SERVICE"
    assert setting(ended, "account")["source"] == "by default"
    assert setting(ended, "account")["overridden"][0]["value"] == "f"
    assert (setting(ended, "timeout_s")["value"], setting(ended, "timeout_s")["source"]) == (
        "9.0",
        "--timeout-s",
    )
    assert "of-the-file" not in ended.out


async def test_a_profile_that_is_named_wins_over_the_environment(tmp_path: Path) -> None:
    async with Emulator() as emulator:
        file = f'service = "{emulator.url}"\napi_key = "{emulator.api_key}"\naccount = "w"'
        write_settings(tmp_path, f"[profile.work]\n{file}")
        environ = {"KLING_API_KEY": "sk-of-another-0123", "KLING_SERVICE": "vapi"}
        line = ["doctor", "--json", "--profile", "work"]
        ended = await asyncio.to_thread(kling, *line, folder=tmp_path, **environ)
    assert ended.code == 0, ended.err
    for name in ("key", "service", "account"):
        assert setting(ended, name)["source"].startswith("[profile.work] "), name
    assert setting(ended, "service")["overridden"] == [{"value": "vapi", "source": "KLING_SERVICE"}]


def test_no_letter_of_a_key_and_no_password_is_shown(tmp_path: Path) -> None:
    """Fault 67: a key is named by its kind alone."""
    profile = FileProfile("work", {"access_key": "AAAA", "secret_key": "SSSS"}, is_named=False)
    environ = {"KLING_API_KEY": "api-key-kling-KKKK", "KLING_SERVICE": "https://u:PPPP@gw.example"}
    shown = str(setting_origins({}, environ, profile))
    assert "one of Kling's own API keys" in shown
    assert "a pair of access keys" in shown
    assert not [word for word in ("AAAA", "SSSS", "KKKK", "PPPP") if word in shown]


# -- what answers mean


@pytest.mark.parametrize(
    ("settings", "ahead_s", "state"),
    [(PAIR, 90, "warning"), (PAIR, -90, "warning"), (PAIR, 30, "ok"), (TOKEN, 90, "ok")],
)
def test_a_wrong_clock_matters_where_tokens_are_signed(
    settings: Settings, ahead_s: float, state: str
) -> None:
    found = {c.name: c for c in checks_of(Probe(ahead_s=ahead_s), settings, NOW)}
    assert found["clock"].state == state
    assert f"{abs(ahead_s)} s {'ahead of' if ahead_s > 0 else 'behind'}" in found["clock"].message


@pytest.mark.parametrize(
    ("behind_s", "words"),
    [(None, "no task runs"), (0.0, "as new as queries"), (14.6, "up to 15 s older than queries")],
)
def test_the_age_of_a_list_is_what_single_queries_know_better(
    behind_s: float | None, words: str
) -> None:
    probe = Probe(tasks=2, newest_at=NOW - timedelta(hours=3), list_behind_s=behind_s)
    (found,) = [each for each in checks_of(probe, TOKEN, NOW) if each.name == "list"]
    assert "2 tasks on its first page, the newest made 3 h ago" in found.message
    assert words in found.message
