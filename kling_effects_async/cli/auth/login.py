"""``kling-effects auth login``: a key from a hidden prompt or from stdin, checked and kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from kling_effects_async import cli
from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import print_result, say
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.options import one_profile, service
from kling_effects_async.cli.profiles import DEFAULT, KEYS
from kling_effects_async.cli.signals import loaded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kling_effects_async import Settings
    from kling_effects_async.cli.service_choice import ServiceChoice

__all__ = ["login"]

_EXAMPLES = (
    "kling-effects auth login",
    "pass show kling | kling-effects auth login - --profile work",
    "kling-effects auth login --pair --service beijing",
)

_LONGEST = 10_000  # characters of stdin; no key has a tenth of it
_PLACES = {"keyring": "in the keyring", "file": "in a file that only you can read"}


def _is_stdin(_context: click.Context, _argument: click.Parameter, given: str | None) -> bool:
    if given not in (None, "-"):
        # Not repeated: it may be a key.
        raise click.BadParameter(
            "a key is no argument, because other users see arguments and a shell keeps them: leave "
            "it out to be asked for it, or give - and pipe it in."
        )
    return given == "-"


@click.command(cls=Command, examples=_EXAMPLES)
@click.argument("is_from_stdin", metavar="[-]", required=False, callback=_is_stdin)
@click.option(
    "--pair",
    "is_pair",
    is_flag=True,
    help="An access key and a secret key, Kling's older pair; on stdin one a line.",
)
@click.option(
    "--no-check",
    "is_checked",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Keep the key without asking the service whether it takes it.",
)
@service
@one_profile
def login(is_from_stdin: bool, is_pair: bool, is_checked: bool, service: ServiceChoice) -> None:
    """Keep a key for later commands.

    Asks for the key without showing it, or reads it from stdin with -. The service is asked whether
    it takes the key, which costs nothing. Prints the name of the profile.
    """
    loaded("kling_effects_async.client")
    secrets: list[str] = []
    with cli.messages.errors_as_failures(secrets):
        config = _needed_config()
        profile = service.profile or os.environ.get("KLING_PROFILE") or DEFAULT
        _reject_written(config, profile)
        key = _read_key(is_from_stdin=is_from_stdin, is_pair=is_pair)
        secrets += key.values()
        settings = _settings(key, service, config, profile)
        if is_checked:
            _check(settings)
        path = cli.key_store.keys_path(config)
        place = cli.key_store.keep_key(path, profile, key, service.name)
    say(f"the key of the profile {profile!r} is kept {_PLACES[place]}")
    _say_what_wins(profile)
    print_result(profile, else_say=f"logged in: {profile}")


def _needed_config() -> Path:
    config = cli.settings_file.config_path()
    if config is None:
        what = "you have no home folder, so no key can be kept: set KLING_API_KEY"
        raise Failure(ExitCode.SETTINGS, [what])
    return config


def _reject_written(config: Path, profile: str) -> None:
    table = cli.settings_file.read_profiles(config).get(profile, {})
    if any(name in table for name in KEYS):
        what = f"{config} has a key of the profile {profile!r}, which wins: delete it there first"
        raise Failure(ExitCode.SETTINGS, [what])


def _read_key(*, is_from_stdin: bool, is_pair: bool) -> Mapping[str, str]:
    names = ("access_key", "secret_key") if is_pair else ("api_key",)
    if is_from_stdin:
        return _of_stdin(names)
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError("stdin is no terminal to ask on: give - and pipe the key in.")
    words = {name: name.replace("_", " ").replace("api", "API") for name in names}
    return {name: click.prompt(words[name], hide_input=True, err=True) for name in names}


def _of_stdin(names: tuple[str, ...]) -> Mapping[str, str]:
    text = "" if sys.stdin is None else sys.stdin.read(_LONGEST)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != len(names):
        wanted = "two lines: the access key and the secret key" if len(names) == 2 else "one line"
        raise click.UsageError(f"stdin must have {wanted}, not {len(lines)}.")
    return dict(zip(names, lines, strict=True))


def _settings(
    key: Mapping[str, str], service: ServiceChoice, config: Path, profile: str
) -> Settings:
    """The settings that later commands will have.

    Raises:
        SettingsError: it is no key, or not for this service.
    """
    from kling_effects_async import Settings

    written = cli.settings_file.read_profiles(config).get(profile, {}).get("service")
    of_service = {} if not (name := service.name or written) else {"service": name}
    return Settings.from_table({**key, **of_service})


def _check(settings: Settings) -> None:
    from kling_effects_async.cli.doctor.probe import probe

    found = cli.runner.run_free(probe(settings))
    if found.error is not None:
        raise Failure(
            cli.messages.exit_code_of(found.error),
            [
                f"the key was not kept: {cli.messages.sentence(found.error)}",
                "--no-check keeps it all the same; another service is named with --service",
            ],
            cli.settings_file.secrets_of(settings.credentials),
        )


def _say_what_wins(profile: str) -> None:
    if cli.settings_file.has_key_in(os.environ):
        say(
            "the environment has a key, which wins: unset it, or name the profile in each command: "
            f"--profile {profile}"
        )
    elif profile != DEFAULT and os.environ.get("KLING_PROFILE") != profile:
        say(f"use it with --profile {profile}, or KLING_PROFILE={profile}")
