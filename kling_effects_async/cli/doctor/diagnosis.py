"""What the doctor found, as lines and as JSON; pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attrs import asdict, frozen

from kling_effects_async import AccessKeys, Settings
from kling_effects_async.cli.doctor.origins import Origin, SettingOrigins
from kling_effects_async.cli.doctor.probe import Probe
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.cli.jobs.tally import counted
from kling_effects_async.cli.messages import exit_code_of, sentence
from kling_effects_async.submitting.account import account_name

__all__ = ["Check", "Diagnosis", "checks_of"]

# A token of Kling's pair is valid from a minute before it is signed.
_SLACK_S = 60
# A Date has no fractions of a second, and was written before it came.
_SAME_TIME_S = 2


@frozen
class Check:
    """One thing that was looked at.

    Attributes:
        state: ``ok``, ``warning`` (a run works all the same), ``failed`` or ``unknown``.
        code: what a run would end with; ``DONE`` if not failed.
    """

    name: str
    state: str
    message: str
    code: ExitCode = ExitCode.DONE

    @property
    def line(self) -> str:
        return self.message if self.state == "ok" else f"{self.state}: {self.message}"


@frozen(kw_only=True)
class Diagnosis:
    """All that was found.

    Attributes:
        settings_file: its path, whether it is there or not; ``None`` without a home folder.
        is_preview: there is no key, so a run makes a preview.
    """

    settings_file: str | None
    profile: str
    settings: Sequence[SettingOrigins]
    checks: Sequence[Check]
    is_preview: bool

    @property
    def code(self) -> ExitCode:
        """What a run would end with, as far as anything here can tell."""
        return next((each.code for each in self.checks if each.code), ExitCode.DONE)

    def as_json(self) -> dict[str, object]:
        return {
            "settings_file": self.settings_file,
            "profile": self.profile,
            "settings": [_setting_as_json(each) for each in self.settings],
            "checks": [{k: v for k, v in asdict(c).items() if k != "code"} for c in self.checks],
            "is_preview": self.is_preview,
            "would_run": self.code is ExitCode.DONE,
            "exit_code": int(self.code),
        }

    def lines(self) -> list[str]:
        """A line for each setting and each check, and one for each value that does not count."""
        rows = [("settings file", f"{self.settings_file}, profile {self.profile}")]
        for each in self.settings:
            rows += [(each.name, "none" if each.used is None else _shown(each.used))]
            rows += [("", f"not used: {_shown(origin)}") for origin in each.overridden]
        rows += [(check.name, check.line) for check in self.checks]
        width = max(len(name) for name, _text in rows)
        return [f"{name:<{width}}  {text}" for name, text in rows]


def _shown(origin: Origin) -> str:
    is_default = origin.source.startswith("by ")
    return f"{origin.value}, {origin.source if is_default else f'from {origin.source}'}"


def _setting_as_json(setting: SettingOrigins) -> dict[str, object]:
    used = setting.used
    return {
        "name": setting.name,
        "value": used and used.value,
        "source": used and used.source,
        "overridden": [each._asdict() for each in setting.overridden],
    }


def checks_of(found: Probe, settings: Settings, now: datetime) -> list[Check]:
    """What the service's answers mean."""
    checks = [_reachable(found, settings)]
    if found.ahead_s is not None:
        checks.append(_clock(found.ahead_s, settings))
    if found.error is None:
        checks += [_list(found, now), _lookup(found)]
    return checks


def _reachable(found: Probe, settings: Settings) -> Check:
    if found.error is not None:
        return Check("answer", "failed", sentence(found.error), exit_code_of(found.error))
    service, account = settings.service, account_name(settings.service, settings.credentials)
    return Check(
        "answer",
        "ok",
        f"{service.name} ({service.base_url}) took the key and answered after "
        f"{found.answered_in_s or 0:.2f} s; a journal calls the key's account {account}",
    )


def _clock(ahead_s: float, settings: Settings) -> Check:
    if abs(ahead_s) <= _SAME_TIME_S:
        return Check("clock", "ok", "as the service's")
    side = "ahead of" if ahead_s > 0 else "behind"
    what = f"this clock is {abs(ahead_s):.0f} s {side} the service's"
    if abs(ahead_s) < _SLACK_S or not isinstance(settings.credentials, AccessKeys):
        return Check("clock", "ok", what)
    return Check("clock", "warning", f"{what}: its tokens are signed by the service's time; set it")


def _list(found: Probe, now: datetime) -> Check:
    if found.tasks is None:
        return Check("list", "ok", "this service has no list of tasks: each task is queried singly")
    words = [f"{counted(found.tasks, 'task')} on its first page"]
    if found.newest_at is not None:
        words.append(f"the newest made {_ago(found.newest_at, now)}")
    if found.list_behind_s is None:
        words.append("no task runs, so nothing shows how old it is")
    elif found.list_behind_s > 0:
        words.append(f"up to {found.list_behind_s:.0f} s older than queries of single tasks")
    else:
        words.append("as new as queries of single tasks")
    return Check("list", "ok", ", ".join(words))


def _ago(moment: datetime, now: datetime) -> str:
    minutes = max(0, (now - moment).total_seconds()) / 60
    if minutes < 1:
        return "less than a minute ago"
    return f"{minutes:.0f} min ago" if minutes < 120 else f"{minutes / 60:.0f} h ago"


def _lookup(found: Probe) -> Check:
    if found.finds_external_ids is None:
        return Check("lookup", "unknown", "no task with an external id is listed, to look it up")
    if found.finds_external_ids:
        return Check("lookup", "ok", "tasks are found by their external ids")
    return Check(
        "lookup",
        "warning",
        "tasks are not found by their external ids: a submit whose answer is lost stays uncertain",
    )
