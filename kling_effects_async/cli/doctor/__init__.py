"""``kling-effects doctor``: whether a run would work, and with which settings. Nothing is paid."""

from __future__ import annotations

import os
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING

import rich_click as click
from click.core import ParameterSource

from kling_effects_async import cli
from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import print_json, print_lines
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.options import as_json, for_the_doctor
from kling_effects_async.cli.profiles import DEFAULT
from kling_effects_async.cli.signals import loaded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal
    from pathlib import Path

    import kling_effects_async.cli.doctor.diagnosis
    import kling_effects_async.cli.doctor.origins
    import kling_effects_async.cli.doctor.probe  # noqa: F401 - known by it as ``cli.doctor.probe``
    from kling_effects_async import Settings
    from kling_effects_async.cli.doctor.diagnosis import Check, Diagnosis
    from kling_effects_async.cli.doctor.origins import FileProfile
    from kling_effects_async.cli.service_choice import ServiceChoice

__all__ = ["doctor"]

_EXAMPLES = (
    "kling-effects doctor",
    "kling-effects doctor --profile work --json",
)

_AT_FIRST_USE = ("diagnosis", "origins", "probe")


def __getattr__(name: str) -> ModuleType:
    if name not in _AT_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return loaded(f"{__name__}.{name}")


@click.command(cls=Command, examples=_EXAMPLES)
@for_the_doctor
@as_json
@click.pass_context
def doctor(
    context: click.Context,
    /,
    service: ServiceChoice,
    journal: str | None,
    budget_units: Decimal | None,
    as_json: bool,
    **_options: object,
) -> None:
    """Check the settings, the key, the service and this machine.

    Shows each setting, where it comes from and what it wins over, and what the service can do. The
    service gets a few GET requests, which cost nothing. Without a key the emulator is checked,
    which makes previews. The exit code is 0 if a run would work, else that of the run.
    """
    # Before the loop runs, where a signal could no longer end the process at once.
    loaded("kling_effects_async.client")
    given = {
        name: str(value.name if name == "service" else value)
        for name, value in context.params.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    with cli.messages.show_library_messages():
        is_for_real = journal is not None or budget_units is not None
        found = _examined(service, journal, given, is_for_real=is_for_real)
    if as_json:
        print_json(found.as_json())
    else:
        print_lines(found.lines())
    if found.code is not ExitCode.DONE:
        why = next(each.message for each in found.checks if each.code)
        raise Failure(found.code, [f"a run would not work: {why}"])


def _examined(
    service: ServiceChoice, journal: str | None, given: Mapping[str, str], *, is_for_real: bool
) -> Diagnosis:
    """Look at everything that a run needs.

    Args:
        is_for_real: a run would make no preview.
    """
    from kling_effects_async import SettingsError

    files, config = cli.settings_file, cli.settings_file.config_path()
    profile = _profile(service, config)
    settings: Settings | None = None
    checks: list[Check] = []
    try:
        settings = files.find_settings(os.environ, config, service=service, is_required=is_for_real)
        checks += _checks(settings)
    except SettingsError as error:
        sentence = cli.messages.sentence(error)
        checks.append(cli.doctor.diagnosis.Check("key", "failed", sentence, ExitCode.SETTINGS))
    if journal is not None:
        checks.append(_journal(journal))
    return cli.doctor.diagnosis.Diagnosis(
        settings_file=None if config is None else str(config),
        profile=profile.name,
        settings=cli.doctor.origins.setting_origins(given, os.environ, profile),
        checks=checks,
        is_preview=settings is None and not is_for_real,
    )


def _profile(service: ServiceChoice, config: Path | None) -> FileProfile:
    from kling_effects_async import SettingsError

    name = service.profile or os.environ.get("KLING_PROFILE") or DEFAULT
    files, profiles = cli.settings_file, cli.settings_file.read_profiles(config)
    table = written = files.profile_of(profiles, name, config)
    with suppress(SettingsError):  # a keyring that is locked; the check of the key says so
        table = files.table_with_key(profiles, name, config)
    return cli.doctor.origins.FileProfile(
        name,
        table,
        is_named=service.profile is not None,
        kept=frozenset(each for each in table if table[each] is not written.get(each)),
    )


def _checks(settings: Settings | None) -> Sequence[Check]:
    from datetime import UTC, datetime

    views = cli.doctor.diagnosis
    if settings is None:
        return [_emulator()]
    found = cli.runner.run_free(cli.doctor.probe.probe(settings))
    return [_proxy(settings), *views.checks_of(found, settings, datetime.now(UTC))]


def _proxy(settings: Settings) -> Check:
    from kling_effects_async.transport.proxies import Proxies

    # Raises for one that cannot be used. Its text has no user and password.
    proxy = Proxies.of(None, os.environ).proxy_for(settings.service.base_url)
    return cli.doctor.diagnosis.Check("proxy", "ok", "none" if proxy is None else str(proxy))


def _emulator() -> Check:
    """Whether a run without a key makes its preview."""
    check = cli.doctor.diagnosis.Check
    from kling_effects_async import SettingsError

    try:
        cli.runner.run_free(_probe_emulator())
    except SettingsError as error:
        return check("emulator", "failed", cli.messages.sentence(error), ExitCode.SETTINGS)
    return check(
        "emulator",
        "ok",
        "no key found, so a run makes a preview on this machine; for Kling's model set "
        "KLING_API_KEY, or KLING_ACCESS_KEY and KLING_SECRET_KEY, or write them into the settings "
        "file",
    )


async def _probe_emulator() -> None:
    from kling_effects_async.emulator import Clips

    async with cli.preview.preview_client(Clips.PREVIEW, timeout_s=15) as client:
        await client.list_tasks()


def _journal(journal: str) -> Check:
    from kling_effects_async import JournalError, SettingsError
    from kling_effects_async.cli.jobs.tally import journal_file, tally_of

    check = cli.doctor.diagnosis.Check
    try:
        tally = cli.runner.run_free(tally_of(journal_file(journal)))
    except (JournalError, SettingsError) as error:
        if not os.path.lexists(journal):
            return check("journal file", "ok", f"{journal} is not there yet; a run makes it")
        sentence = cli.messages.sentence(error)
        return check("journal file", "failed", sentence, ExitCode.SETTINGS)
    return check("journal file", "ok", f"{journal}: {tally.lines()[0]}")
