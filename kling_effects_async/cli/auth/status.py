"""``kling-effects auth status``: the profiles, and where their keys are."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import rich_click as click

from kling_effects_async import cli
from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import print_json, print_lines
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.options import as_json, chosen_profile, one_profile
from kling_effects_async.cli.profiles import DEFAULT, KEYS

__all__ = ["status"]

_EXAMPLES = ("kling-effects auth status",)

_COLUMNS = ("", "profile", "key", "service")
_PLACES = {"keyring": "in the keyring", "file": "kept in keys.json"}


@click.command(cls=Command, examples=_EXAMPLES)
@one_profile
@as_json
@click.pass_context
def status(context: click.Context, /, as_json: bool) -> None:
    """List the profiles and where their keys are.

    A star marks the key that commands use now. No key is shown, and no service is asked; see:
    kling-effects doctor.
    """
    with cli.messages.errors_as_failures():
        rows = _rows(chosen_profile(context), os.environ)
    if as_json:
        print_json(rows)
    else:
        print_lines(cli.table.Table(_COLUMNS).lines([_cells(row) for row in rows]))
    if not any(row["is_used"] for row in rows):
        raise Failure(ExitCode.SETTINGS, ["no key to use: kling-effects auth login"])


def _rows(named: str | None, environ: Mapping[str, str]) -> Sequence[Mapping[str, object]]:
    config = cli.settings_file.config_path()
    written = cli.settings_file.read_profiles(config)
    kept = {} if config is None else cli.key_store.kept_profiles(cli.key_store.keys_path(config))
    used = named or environ.get("KLING_PROFILE") or DEFAULT
    is_environments = named is None and cli.settings_file.has_key_in(environ)
    rows: list[Mapping[str, object]] = []
    if cli.settings_file.has_key_in(environ):
        rows.append(_row(None, "environment", environ.get("KLING_SERVICE"), is_environments))
    for name in sorted({*written, *kept}):
        table, key = written.get(name, {}), kept.get(name)
        place = "config.toml" if any(each in table for each in KEYS) else key and key.place
        service = (None if place == "config.toml" or key is None else key.service) or table.get(
            "service"
        )
        is_used = name == used and not is_environments and place is not None
        rows.append(_row(name, place, service, is_used))
    return rows


def _row(
    profile: str | None, place: str | None, service: object, is_used: bool
) -> Mapping[str, object]:
    from kling_effects_async.web_address import address_label

    shown = None if not service else address_label(str(service))
    return {"profile": profile, "key": place, "service": shown, "is_used": is_used}


def _cells(row: Mapping[str, object]) -> Sequence[str]:
    place = str(row["key"] or "none")
    where = {"environment": "in the environment", "config.toml": "in config.toml"}
    return (
        "*" if row["is_used"] else "",
        str(row["profile"] or "-"),
        {**where, **_PLACES}.get(place, place),
        str(row["service"] or "by default"),
    )
