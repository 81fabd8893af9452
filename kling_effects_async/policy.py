"""How patient the client is: frozen values, checked when they are made."""

from __future__ import annotations

from typing import Any

from attrs import Attribute, field, frozen

from kling_effects_async.errors import SettingsError

__all__ = ["PollPolicy", "RetryPolicy", "SlotPolicy", "SubmitPolicy"]


def _positive(_policy: object, attribute: Attribute[Any], value: Any) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not value > 0:
        raise SettingsError(f"{attribute.name} must be a number above 0, not {value!r}")


def _whole(policy: object, attribute: Attribute[Any], value: Any) -> None:
    _positive(policy, attribute, value)
    if not isinstance(value, int):
        raise SettingsError(f"{attribute.name} must be a whole number, not {value!r}")


def _seconds(default: float) -> Any:
    return field(default=default, validator=_positive)


def _count(default: int) -> Any:
    return field(default=default, validator=_whole)


@frozen(kw_only=True)
class PollPolicy:
    """When to ask about a task, and when to stop waiting for it.

    Attributes:
        deadline_s: how long one wait lasts at most, a hung request included. The task goes on.
        shortest_s, ceiling_s: bounds of the pause between two questions about one task.
        trouble_span_s: how long questions may fail without a break before a wait gives up. A
            span, not a count: what ends a wait is an outage, not a burst.
        not_found_grace_s: how long a task may stay unknown to the service, replicas being late.
        result_grace_s: how long a succeeded task may stay without a video.
        parallel: how many questions are under way at once.

    Source: effects take one to six minutes (third parties' figures, 2025 and 2026); gateways
    refresh their rows about every 15 s (new-api source).
    """

    deadline_s: float = _seconds(3600.0)
    shortest_s: float = _seconds(0.9)
    ceiling_s: float = _seconds(15.0)
    trouble_span_s: float = _seconds(300.0)
    not_found_grace_s: float = _seconds(30.0)
    result_grace_s: float = _seconds(30.0)
    parallel: int = _count(32)

    def __attrs_post_init__(self) -> None:
        if self.shortest_s > self.ceiling_s:
            raise SettingsError(
                f"shortest_s ({self.shortest_s:g}) must not be above ceiling_s ({self.ceiling_s:g})"
            )


@frozen(kw_only=True)
class RetryPolicy:
    """How one request is tried.

    Attributes:
        attempts: tries in all, for requests that may be repeated.
        base_s, cap_s: the first pause at most, doubled up to the cap; each is drawn from 0 to it.
        span_s: no new try starts later than this after the first. A pause the server asks for
            that would go beyond it ends the tries at once.
        connect_timeout_s: for the connection alone.
        answer_timeout_s: for one try of a question, from start to end.
        submit_timeout_s: for one try of a submit, the upload of its images included.
    """

    attempts: int = _count(5)
    base_s: float = _seconds(0.5)
    cap_s: float = _seconds(20.0)
    span_s: float = _seconds(60.0)
    connect_timeout_s: float = _seconds(10.0)
    answer_timeout_s: float = _seconds(20.0)
    submit_timeout_s: float = _seconds(300.0)


@frozen(kw_only=True)
class SlotPolicy:
    """How the account's limit of parallel tasks is found out.

    Attributes:
        start: places to begin with, where none is remembered; a trial account has 5, a standard
            one 20 (a reseller's figures, 2026).
        most: never more than this, whatever the service accepts.
        probe_s: while the account or the key is refused, one submit in so many seconds goes
            through to see whether a person has acted.
    """

    start: int = _count(20)
    most: int = _count(10_000)
    probe_s: float = _seconds(60.0)

    def __attrs_post_init__(self) -> None:
        if self.start > self.most:
            raise SettingsError(f"start ({self.start}) must not be above most ({self.most})")


def _is_choice(_policy: object, attribute: Attribute[str], value: str) -> None:
    if value not in ("raise", "resubmit"):
        raise SettingsError(f"{attribute.name} must be 'raise' or 'resubmit', not {value!r}")


@frozen(kw_only=True)
class SubmitPolicy:
    """What to do about a submit whose answer was lost, and how long to hold on.

    Attributes:
        on_uncertain: ``"raise"`` leaves it to a person; ``"resubmit"`` prefers a second charge to a
            missing clip.
        settle_pause_s: between the two lookups that have to find nothing before a job may be sent
            again.
        cancel_grace_s: how long a cancelled submit is held until its outcome is written down.
        pace_patience_s: a service that asks for a longer pause ends the submit at once.
    """

    on_uncertain: str = field(default="raise", validator=_is_choice)
    settle_pause_s: float = _seconds(5.0)
    cancel_grace_s: float = _seconds(10.0)
    pace_patience_s: float = _seconds(600.0)
