"""``kling-effects auth``: a key is asked for without showing it, checked, kept and deleted."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kling_effects_async.cli import key_store
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.emulator import Clips, Emulator
from kling_effects_async.errors import SettingsError
from tests.support.command_line import Ended, clean_environment, kling, python
from tests.support.settings_file import settings_path, write_settings

KEY = "sk-not-for-others-0123"
AWAY = ("--service", "http://127.0.0.1:9")


def keys(folder: Path) -> Path:
    return settings_path(folder).with_name("keys.json")


def login(folder: Path, typed: str, *options: str, **environ: str) -> Ended:
    """With ``typed`` on stdin, and no keyring of this machine."""
    environ = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring", **environ}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.StringIO(typed))
        return kling("auth", "login", "-", *options, folder=folder, **environ)


# -- in a file


async def test_a_key_that_was_kept_runs_a_task(cat: Path, tmp_path: Path) -> None:
    async with Emulator(clips=Clips.STOCK, speed=1e6) as emulator:
        at = ["--service", emulator.url]
        ended = await asyncio.to_thread(login, tmp_path, f"{emulator.api_key}\n", *at)
        assert (ended.code, ended.out) == (0, "default\n"), ended.err
        run = ["run", "squish", cat, "-o", "a.mp4"]
        ran = await asyncio.to_thread(kling, *run, folder=tmp_path)
    assert (ran.code, emulator.ledger.total) == (0, 1), ran.err
    assert emulator.api_key not in ended.out + ended.err + ran.out + ran.err


@pytest.mark.skipif(sys.platform == "win32", reason="other rights there")
def test_a_kept_key_is_in_a_file_of_its_owner_alone(tmp_path: Path) -> None:
    """Fault 67: mode 0600, also where the file was there before with other rights."""
    keys(tmp_path).parent.mkdir(parents=True)
    keys(tmp_path).write_text("{}")
    keys(tmp_path).chmod(0o644)
    ended = login(tmp_path, KEY, "--no-check", *AWAY)
    assert ended.code == 0, ended.err
    assert "is kept in a file that only you can read" in ended.err
    assert keys(tmp_path).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in keys(tmp_path).parent.iterdir()] == ["keys.json"]


def test_each_profile_keeps_a_key_of_its_own_and_the_pair_is_two_lines(tmp_path: Path) -> None:
    assert login(tmp_path, KEY, "--no-check").code == 0
    pair = "0123456789abcdef0123456789abcdef\na-secret-key-of-thirty-two-bytes\n"
    work = ["--profile", "work", "--pair", "--no-check", "--service", "beijing"]
    ended = login(tmp_path, pair, *work)
    assert (ended.code, ended.out) == (0, "work\n"), ended.err
    assert "use it with --profile work" in ended.err
    rows = json.loads(kling("auth", "status", "--json", folder=tmp_path).out)
    assert rows == [
        {"profile": "default", "key": "file", "service": None, "is_used": True},
        {"profile": "work", "key": "file", "service": "beijing", "is_used": False},
    ]
    assert key_store.kept_key(keys(tmp_path), "work") == {
        "service": "beijing",
        "access_key": "0123456789abcdef0123456789abcdef",
        "secret_key": "a-secret-key-of-thirty-two-bytes",
    }


def test_a_key_that_the_service_rejects_is_not_kept(tmp_path: Path) -> None:
    ended = login(tmp_path, KEY, *AWAY)
    assert ended.code == ExitCode.NO_ANSWER
    assert "the key was not kept: no connection" in ended.err
    assert "--no-check" in ended.err
    assert not keys(tmp_path).exists()


@pytest.mark.parametrize(
    ("typed", "options", "said"),
    [
        ("", [], "stdin must have one line, not 0"),
        (f"{KEY}\n{KEY}\n", [], "stdin must have one line, not 2"),
        (KEY, ["--pair"], "stdin must have two lines: the access key and the secret key, not 1"),
        ("short", ["--no-check"], "and no key: a key is letters"),
    ],
)
def test_what_is_no_key_is_not_kept(
    typed: str, options: list[str], said: str, tmp_path: Path
) -> None:
    ended = login(tmp_path, typed, *options)
    assert ended.code in (ExitCode.USAGE, ExitCode.SETTINGS)
    assert said in ended.err
    assert KEY not in ended.err
    assert not keys(tmp_path).exists()


def test_a_key_as_an_argument_is_rejected_and_not_repeated(tmp_path: Path) -> None:
    """Fault 67: other users see arguments, and a shell keeps them."""
    ended = kling("auth", "login", KEY, "--no-check", folder=tmp_path)
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert "a key is no argument" in ended.err
    assert KEY not in ended.err
    assert not keys(tmp_path).exists()


def test_a_key_that_the_settings_file_has_is_not_hidden_by_another(tmp_path: Path) -> None:
    write_settings(tmp_path, f'[kling]\napi_key = "{KEY}"\n')
    ended = login(tmp_path, "sk-another-key-0123", "--no-check")
    assert ended.code == ExitCode.SETTINGS
    assert "which wins: delete it there first" in ended.err


def test_a_kept_key_comes_with_the_other_settings_of_its_profile(tmp_path: Path) -> None:
    write_settings(tmp_path, '[profile.work]\njournal = "w.db"\n')
    assert login(tmp_path, KEY, "--profile", "work", "--no-check", *AWAY).code == 0
    assert "w.db" in kling("jobs", "--profile", "work", folder=tmp_path).err
    ended = kling("fetch", "t1", "--profile", "work", "--timeout-s", "0.2", folder=tmp_path)
    assert ended.code == ExitCode.TIMED_OUT


def test_the_key_of_the_environment_wins_and_login_says_so(tmp_path: Path) -> None:
    ended = login(tmp_path, KEY, "--no-check", KLING_API_KEY="sk-of-environment-0")
    assert "the environment has a key, which wins" in ended.err
    rows = kling("auth", "status", "--json", folder=tmp_path, KLING_API_KEY="sk-of-environment-0")
    used = [row for row in json.loads(rows.out) if row["is_used"]]
    assert [row["key"] for row in used] == ["environment"]


def test_the_table_of_profiles_has_no_key_and_marks_what_is_used(tmp_path: Path) -> None:
    write_settings(tmp_path, f'[profile.studio]\napi_key = "{KEY}"\nservice = "vapi"\n')
    ended = kling("auth", "status", "--profile", "studio", folder=tmp_path)
    assert ended.code == 0
    assert ended.out.splitlines()[1].split() == ["*", "studio", "in", "config.toml", "vapi"]
    assert KEY not in ended.out


def test_without_any_key_status_is_3_and_names_the_command(tmp_path: Path) -> None:
    ended = kling("auth", "status", folder=tmp_path)
    assert ended.code == ExitCode.SETTINGS
    assert "no key to use: kling-effects auth login" in ended.err


def test_logout_deletes_the_key_of_one_profile(tmp_path: Path) -> None:
    login(tmp_path, KEY, "--no-check")
    login(tmp_path, "sk-of-work-0123", "--no-check", "--profile", "work")
    ended = kling("auth", "logout", "--profile", "work", folder=tmp_path)
    assert (ended.code, ended.out) == (0, "work\n")
    assert "sk-of-work-0123" not in keys(tmp_path).read_text()
    assert key_store.kept_key(keys(tmp_path), "default") == {"api_key": KEY}
    assert kling("auth", "logout", "--profile", "work", folder=tmp_path).code == ExitCode.SETTINGS


@pytest.mark.parametrize("text", ["{", "[]", '{"default": 7}', '{"default": {"x": "y"}}'])
def test_a_damaged_file_of_keys_is_named_and_not_quoted(text: str, tmp_path: Path) -> None:
    keys(tmp_path).parent.mkdir(parents=True)
    keys(tmp_path).write_text(text)
    ended = kling("fetch", "t1", folder=tmp_path)
    assert ended.code == ExitCode.SETTINGS
    assert f"{keys(tmp_path)} is damaged: delete it" in ended.err


async def test_the_doctor_names_login_as_the_place_of_a_kept_key(tmp_path: Path) -> None:
    async with Emulator() as emulator:
        at = ["--service", emulator.url, "--profile", "work"]
        await asyncio.to_thread(login, tmp_path, emulator.api_key, *at)
        line = ["doctor", "--json", "--profile", "work"]
        ended = await asyncio.to_thread(kling, *line, folder=tmp_path)
    assert ended.code == 0, ended.err
    key, service, *_others = json.loads(ended.out)["settings"]
    assert key["source"] == service["source"] == "auth login --profile work"


# -- at a terminal


def test_at_a_terminal_the_key_is_asked_for_and_not_shown(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "kling_effects_async", "auth", "login", "--no-check"],
        cwd=tmp_path,
        env=clean_environment(tmp_path, PYTHONPATH=os.pathsep.join(sys.path)),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = read_until(ours, "API key: ")
    os.write(ours, f"{KEY}\n".encode())
    shown += read_until(ours, "default\r\n")
    assert process.wait() == 0
    os.close(ours)
    assert KEY not in shown
    assert key_store.kept_key(keys(tmp_path), "default") == {"api_key": KEY}


def read_until(terminal: int, words: str) -> str:
    shown = ""
    while words not in shown:
        shown += os.read(terminal, 2**12).decode()
    return shown


def test_without_a_terminal_nobody_is_asked(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.StringIO(KEY))
        ended = kling("auth", "login", folder=tmp_path)
    assert ended.code == ExitCode.USAGE
    assert "give - and pipe the key in" in ended.err


# -- in a keyring


class Vault:
    """A keyring's backend in memory, as the package ``keyring`` has it."""

    def __init__(self, priority: float = 5) -> None:
        self.priority = priority
        self.held: dict[tuple[str, str], str] = {}
        self.is_locked = False

    def get_keyring(self) -> Vault:
        return self

    def set_password(self, service: str, name: str, secret: str) -> None:
        self._check()
        self.held[service, name] = secret

    def get_password(self, service: str, name: str) -> str | None:
        self._check()
        return self.held.get((service, name))

    def delete_password(self, service: str, name: str) -> None:
        self._check()
        del self.held[service, name]

    def _check(self) -> None:
        if self.is_locked:
            raise RuntimeError("locked")


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Vault:
    backend = Vault()
    monkeypatch.setitem(sys.modules, "keyring", backend)
    return backend


def test_where_a_keyring_works_the_key_is_there_and_in_no_file(
    vault: Vault, tmp_path: Path
) -> None:
    ended = login(tmp_path, KEY, "--no-check", *AWAY)
    assert "is kept in the keyring" in ended.err
    assert KEY not in keys(tmp_path).read_text()
    assert list(vault.held.values()) == [json.dumps({"api_key": KEY})]
    assert key_store.kept_key(keys(tmp_path), "default") == {"service": AWAY[1], "api_key": KEY}
    ended = kling("auth", "logout", folder=tmp_path)
    assert "deleted from the keyring" in ended.err
    assert vault.held == {}


@pytest.mark.parametrize("fault", ["no priority", "locked"])
def test_where_a_keyring_does_not_work_the_key_is_in_the_file(
    fault: str, vault: Vault, tmp_path: Path
) -> None:
    vault.is_locked, vault.priority = fault == "locked", 0 if fault == "no priority" else 5
    ended = login(tmp_path, KEY, "--no-check")
    assert (ended.code, vault.held) == (0, {})
    assert KEY in keys(tmp_path).read_text()


def test_a_keyring_that_is_locked_later_is_a_sentence(vault: Vault, tmp_path: Path) -> None:
    login(tmp_path, KEY, "--no-check")
    vault.is_locked = True
    ended = kling("fetch", "t1", folder=tmp_path)
    assert ended.code == ExitCode.SETTINGS
    assert "which does not give it: unlock it" in ended.err
    with pytest.raises(SettingsError, match="could not be deleted"):
        key_store.forget_key(keys(tmp_path), "default")
    assert kling("auth", "status", folder=tmp_path).code == 0  # which does not ask it


def test_a_real_keyring_package_keeps_the_key(tmp_path: Path) -> None:
    """With a backend of its own in a file: no test may write into a user's keyring."""
    pytest.importorskip("keyring")
    (tmp_path / "vault_backend.py").write_text(
        """
import json, pathlib
from keyring.backend import KeyringBackend
FILE = pathlib.Path(__file__).with_suffix(".json")
class Vault(KeyringBackend):
    priority = 5
    def _held(self): return json.loads(FILE.read_text()) if FILE.exists() else {}
    def set_password(self, s, u, p): FILE.write_text(json.dumps({**self._held(), s + u: p}))
    def get_password(self, s, u): return self._held().get(s + u)
    def delete_password(self, s, u): FILE.write_text("{}")
"""
    )
    code = f"""
import io, os, sys
sys.path.insert(0, {str(tmp_path)!r})
os.environ["PYTHON_KEYRING_BACKEND"] = "vault_backend.Vault"
from kling_effects_async.cli import main
sys.stdin = io.StringIO({KEY!r})
assert main(["auth", "login", "-", "--no-check"]) == 0
assert main(["auth", "status", "--json"]) == 0
"""
    ended = python(code, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert '"key": "keyring"' in ended.stdout
    assert KEY in json.loads((tmp_path / "vault_backend.json").read_text()).popitem()[1]


def test_a_keyring_is_loaded_for_no_other_command(tmp_path: Path) -> None:
    write_settings(tmp_path, f'[kling]\napi_key = "{KEY}"\nservice = "{AWAY[1]}"\n')
    code = """
import sys
from kling_effects_async.cli import main
main(["auth", "login", "--help"])
main(["fetch", "t1", "--timeout-s", "0.1"])
assert "keyring" not in sys.modules
"""
    assert python(code, tmp_path).returncode == 0
