"""The options from the command line, the environment and the settings file, in this order."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.cli.profiles import defaults_of, profiles_of
from kling_effects_async.emulator import Clips, Emulator
from kling_effects_async.errors import SettingsError
from tests.support.command_line import Ended, kling
from tests.support.settings_file import write_settings

KEY = "sk-not-for-others-0123"


async def run_cat(folder: Path, cat: Path, *options: object, **environ: str) -> Ended:
    return await asyncio.to_thread(kling, "run", "squish", cat, *options, folder=folder, **environ)


def of(emulator: Emulator) -> str:
    return f'service = "{emulator.url}"\napi_key = "{emulator.api_key}"\n'


# -- flags, environment, file


def test_a_journal_comes_from_the_option_else_the_environment_else_the_file(
    tmp_path: Path,
) -> None:
    write_settings(tmp_path, '[kling]\njournal = "of-file.db"\n')
    for line, environ, used in (
        (["--journal", "given.db"], {"KLING_JOURNAL": "of-environment.db"}, "given.db"),
        ([], {"KLING_JOURNAL": "of-environment.db"}, "of-environment.db"),
        ([], {}, "of-file.db"),
    ):
        for command in (["jobs"], ["jobs", "show", "e1"], ["jobs", "resume"]):
            ended = kling(*command, *line, folder=tmp_path, **environ)
            assert ended.code == ExitCode.SETTINGS
            assert ended.err.endswith(f"there is no journal at {tmp_path / used}\n"), command


def test_the_option_of_a_group_beats_the_file_of_its_command(tmp_path: Path) -> None:
    write_settings(tmp_path, '[kling]\njournal = "of-file.db"\n')
    ended = kling("jobs", "--journal", "given.db", "resume", folder=tmp_path)
    assert "given.db" in ended.err


async def test_a_run_takes_all_that_the_file_says(cat: Path, tmp_path: Path) -> None:
    async with Emulator(clips=Clips.STOCK, speed=1e6) as emulator:
        text = f'[kling]\n{of(emulator)}account = "studio"\njournal = "~/jobs.db"\noutput = "clips"'
        write_settings(tmp_path, text)
        (tmp_path / "home").mkdir(exist_ok=True)
        ended = await run_cat(tmp_path, cat)
    assert ended.code == 0, ended.err
    assert ended.out.startswith(f"clips{os.sep}squish-")
    jobs = ["jobs", "--json", "--journal", tmp_path / "home" / "jobs.db"]
    listed = await asyncio.to_thread(kling, *jobs, folder=tmp_path)
    assert json.loads(listed.out)["account"] == "studio"


def test_a_wait_ends_after_the_files_timeout_unless_the_environment_has_another(
    tmp_path: Path,
) -> None:
    write_settings(
        tmp_path, f'[kling]\napi_key = "{KEY}"\nservice = "http://127.0.0.1:9"\ntimeout_s = 0.25\n'
    )
    assert "within 0.25 s" in kling("fetch", "1", folder=tmp_path).err
    assert "within 0.5 s" in kling("fetch", "1", folder=tmp_path, KLING_TIMEOUT_S="0.5").err


async def test_a_budget_of_the_environment_is_kept(cat: Path, tmp_path: Path) -> None:
    async with Emulator(clips=Clips.STOCK, speed=1e6) as emulator:
        write_settings(tmp_path, f"[kling]\n{of(emulator)}budget_units = 100\n")
        ended = await run_cat(tmp_path, cat, KLING_BUDGET_UNITS="1")
    assert (ended.code, emulator.ledger.total) == (ExitCode.OVER_BUDGET, 0)


def test_the_account_of_the_file_is_not_the_one_of_another_key() -> None:
    profile = {"api_key": KEY, "service": "vapi", "account": "studio", "journal": "a.db"}
    assert defaults_of(profile, has_key=True) == {"account": "studio", "journal": "a.db"}
    assert defaults_of(profile, has_key=False) == {"journal": "a.db"}


async def test_a_job_of_the_environments_key_is_not_in_the_files_account(
    cat: Path, tmp_path: Path
) -> None:
    write_settings(tmp_path, '[kling]\naccount = "studio"\njournal = "jobs.db"\n')
    async with Emulator(clips=Clips.STOCK, speed=1e6) as emulator:
        at = {"KLING_SERVICE": emulator.url, "KLING_API_KEY": emulator.api_key}
        ended = await run_cat(tmp_path, cat, "-o", "a.mp4", **at)
    listed = await asyncio.to_thread(kling, "jobs", "--json", folder=tmp_path, **at)
    assert ended.code == 0
    assert json.loads(listed.out)["account"].startswith("gateway-")


# -- profiles


async def test_a_profile_that_is_named_beats_the_key_of_the_environment(
    cat: Path, tmp_path: Path
) -> None:
    async with Emulator(clips=Clips.STOCK, speed=1e6) as emulator:
        write_settings(tmp_path, f"[profile.work]\n{of(emulator)}")
        ended = await run_cat(
            tmp_path,
            cat,
            *["--profile", "work", "-o", "a.mp4"],
            KLING_API_KEY="sk-of-another-service",
            KLING_SERVICE="http://127.0.0.1:9",
        )
    assert (ended.code, emulator.ledger.total) == (0, 1), ended.err


async def test_the_environment_may_name_the_profile(cat: Path, tmp_path: Path) -> None:
    async with Emulator(clips=Clips.STOCK, speed=1e6) as emulator:
        write_settings(tmp_path, f"[profile.work]\n{of(emulator)}")
        ended = await run_cat(tmp_path, cat, "-o", "a.mp4", KLING_PROFILE="work")
    assert (ended.code, emulator.ledger.total) == (0, 1), ended.err


def test_a_profile_takes_nothing_from_another_table(tmp_path: Path) -> None:
    write_settings(
        tmp_path, f'[kling]\napi_key = "{KEY}"\njournal = "a.db"\n[profile.work]\naccount = "w"\n'
    )
    ended = kling("jobs", "--profile", "work", folder=tmp_path)
    assert "no journal: name its file" in ended.err
    ended = kling("fetch", "1", "--profile", "work", folder=tmp_path)
    assert ended.code == ExitCode.SETTINGS
    assert "the profile 'work' has no key" in ended.err


def test_a_line_to_go_on_with_names_the_profile(tmp_path: Path) -> None:
    write_settings(tmp_path, f'[profile.work]\napi_key = "{KEY}"\nservice = "http://127.0.0.1:9"\n')
    ended = kling("fetch", "t1", "--profile", "work", "--timeout-s", "0.2", folder=tmp_path)
    assert ended.code == ExitCode.TIMED_OUT
    assert ended.last_command == "fetch -o t1.mp4 --profile work t1"


def test_a_profile_that_does_not_exist_names_the_nearest(tmp_path: Path) -> None:
    config = write_settings(tmp_path, f'[profile.work]\napi_key = "{KEY}"\n')
    ended = kling("fetch", "t1", "--profile", "wrk", folder=tmp_path)
    assert (ended.code, ended.out) == (ExitCode.SETTINGS, "")
    assert f"{config} has no profile 'wrk': did you mean 'work'?" in ended.err


# -- errors in the file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[kling]\njurnal = "a.db"', "[kling] has an unknown setting 'jurnal': did you mean 'jo"),
        ('[klink]\napi_key = "k"', "it has an unknown table 'klink': did you mean 'kling'?"),
        ('[profile.w]\nkey = "k"', "[profile.w] has an unknown setting 'key': did you mean"),
        ("[kling]\ntimeout_s = 0", "[kling] timeout_s must be a number of seconds above 0"),
        ("[kling]\ntimeout_s = nan", "[kling] timeout_s must be"),
        ("[kling]\ntimeout_s = true", "[kling] timeout_s must be"),
        ("[kling]\nbudget_units = -1", "[kling] budget_units must be a number of units"),
        ("[kling]\nbudget_units = inf", "[kling] budget_units must be"),
        ("[kling]\naccount = 7", "[kling] account must be a text"),
        ('[kling]\njournal = " "', "[kling] journal must be a text"),
        ("kling = 1", "[kling] must be a table"),
        ('profile = "work"', "[profile] must be a table"),
        ('[profile]\nwork = "k"', "[profile.work] must be a table"),
        ('[profile.default]\napi_key = "k"', "[profile.default] is the table [kling]"),
    ],
)
def test_what_is_wrong_in_the_file_is_said_with_what_is_right(
    text: str, said: str, tmp_path: Path
) -> None:
    config = write_settings(tmp_path, text)
    ended = kling("fetch", "1", folder=tmp_path, KLING_API_KEY="sk-of-the-environment")
    assert (ended.code, ended.out) == (ExitCode.SETTINGS, "")
    assert f"{config}: {said}" in ended.err


def test_a_key_in_the_place_of_a_name_is_not_repeated() -> None:
    """Fault 67: an unknown name is shown only where it looks like one."""
    with pytest.raises(SettingsError) as raised:
        profiles_of('[kling]\napi-key-kling-0123456789 = "x"')
    assert "0123456789" not in str(raised.value)
    assert "has an unknown setting: " in str(raised.value)


def test_numbers_of_the_file_are_options_as_they_would_be_typed() -> None:
    (profile,) = profiles_of("[kling]\nbudget_units = 7.5\ntimeout_s = inf").values()
    assert defaults_of(profile, has_key=True) == {"budget_units": "7.5", "timeout_s": "inf"}
