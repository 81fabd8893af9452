"""How patient the client is: frozen values, checked when they are made."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

from attrs import Attribute, field, frozen

from kling_effects_async.errors import SettingsError

__all__ = ["MAX_VIDEO_BYTES", "PollPolicy", "RetryPolicy", "SlotPolicy", "SubmitPolicy"]


def _positive(_policy: object, attribute: Attribute[Any], value: Any) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # An int may be larger than any float, and then no clock can count to it.
    if not is_number or not (0 < value <= sys.float_info.max or value == math.inf):
        raise SettingsError(f"{attribute.name} must be a number above 0, not {value!r}")


def _whole(policy: object, attribute: Attribute[Any], value: Any) -> None:
    _positive(policy, attribute, value)
    if not isinstance(value, int):
        raise SettingsError(f"{attribute.name} must be a whole number, not {value!r}")


def _finite(policy: object, attribute: Attribute[Any], value: Any) -> None:
    _positive(policy, attribute, value)
    if value == math.inf:  # aiohttp rounds it up to a whole number
        raise SettingsError(f"{attribute.name} must be a finite number, such as 3600, not inf")


def _limit(default: float) -> Any:
    """Seconds that one request may take."""
    return field(default=default, validator=_finite)


def _seconds(default: float) -> Any:
    return field(default=default, validator=_positive)


def _count(default: int) -> Any:
    return field(default=default, validator=_whole)


# A server that never stops sending would fill the disk. The longest effects are clips of ten
# seconds; at 100 Mbit/s, more than most cameras record, that is 125 MB, an eighth of this.
# Source: effects page, input.duration ("5" or "10"), seen 2026-09.
MAX_VIDEO_BYTES: int = 2**30


def backoff_s(
    failures: int,
    asked_s: float | None,
    rng: Callable[[], float],
    *,
    base_s: float,
    max_pause_s: float,
) -> float:
    """The one backoff formula; see ``RetryPolicy.pause_s``."""
    grown_s = min(max_pause_s, base_s * 2.0 ** min(failures - 1, 30))
    drawn_s = grown_s * (0.5 + rng() / 2)
    return drawn_s if asked_s is None else asked_s + drawn_s


@frozen(kw_only=True)
class PollPolicy:
    """When to ask about a task, and when to stop waiting for it.

    Attributes:
        deadline_s: how long one wait lasts at most, a hung request included. The task goes on.
        shortest_s, max_interval_s: bounds of the pause between two polls of one task.
        max_outage_s: how long polls may fail without a break before a wait ends. A
            span, not a count: what ends a wait is an outage, not a burst. The task goes on.
        not_found_grace_s: how long a task may stay unknown to the service, replicas being late.
        attached_grace_s: the same for a task that was attached to, while neither the service nor
            the journal has ever told of it; never longer than ``not_found_grace_s``.
        result_grace_s: how long a succeeded task may stay without a video, and its video without
            being there.
        parallel: at most so many polls are under way at once; after an idle moment eight, one more
            with each answer.

    Source: effects take one to six minutes (third parties' figures, 2025 and 2026); gateways
    refresh their rows about every 15 s (new-api source).
    """

    deadline_s: float = _seconds(3600.0)
    shortest_s: float = _seconds(0.9)
    max_interval_s: float = _seconds(15.0)
    max_outage_s: float = _seconds(300.0)
    not_found_grace_s: float = _seconds(30.0)
    attached_grace_s: float = _seconds(8.0)
    result_grace_s: float = _seconds(30.0)
    parallel: int = _count(16)

    def __attrs_post_init__(self) -> None:
        if self.shortest_s > self.max_interval_s:
            raise SettingsError(
                f"shortest_s ({self.shortest_s:g}) must not be above max_interval_s "
                f"({self.max_interval_s:g})"
            )


@frozen(kw_only=True)
class RetryPolicy:
    """How one request is tried.

    Attributes:
        attempts: tries in all, for requests that may be repeated.
        base_s, max_pause_s: the first pause, doubled for each further one, up to the cap.
        max_elapsed_s: no new try starts later than this after the first. A pause that the service
            asks for and that would go beyond it ends the tries at once.
        connect_timeout_s: for the connection alone.
        answer_timeout_s: for one try of a query, from start to end.
        submit_timeout_s: for one try of a submit, the upload of its images included.
    """

    attempts: int = _count(5)
    base_s: float = _seconds(0.5)
    max_pause_s: float = _seconds(20.0)
    max_elapsed_s: float = _seconds(60.0)
    connect_timeout_s: float = _limit(10.0)
    answer_timeout_s: float = _limit(20.0)
    submit_timeout_s: float = _limit(300.0)

    def pause_s(self, failures: int, asked_s: float | None, rng: Callable[[], float]) -> float:
        """Seconds until the next try, after so many failures in a row.

        The upper half of a pause is drawn, so that many who fail together do not come back
        together. What the service asks for is kept in full, and the drawn part comes on top.

        Args:
            failures: 1 or more.
            asked_s: what the service asked for, if it did.
            rng: a source of numbers in [0, 1).
        """
        return backoff_s(failures, asked_s, rng, base_s=self.base_s, max_pause_s=self.max_pause_s)


@frozen(kw_only=True)
class SlotPolicy:
    """How the account's limit of parallel tasks is found out.

    Attributes:
        start: slots to begin with, where none is remembered; a trial account has 5, a standard
            one 20 (a reseller's figures, 2026).
        maximum: never more than this, whatever the service accepts.
        probe_s: while the account or the key is rejected, one submit in so many seconds goes
            through to see whether a person has acted.
    """

    start: int = _count(20)
    maximum: int = _count(10_000)
    probe_s: float = _seconds(60.0)

    def __attrs_post_init__(self) -> None:
        if self.start > self.maximum:
            raise SettingsError(f"start ({self.start}) must not be above maximum ({self.maximum})")


def _choice(default: str, other: str) -> Any:
    def is_choice(_policy: object, attribute: Attribute[str], value: str) -> None:
        if value not in (default, other):
            raise SettingsError(f"{attribute.name} must be {default!r} or {other!r}, not {value!r}")

    return field(default=default, validator=is_choice)


def _is_flag(_policy: object, attribute: Attribute[bool], value: bool) -> None:
    if not isinstance(value, bool):
        raise SettingsError(f"{attribute.name} must be True or False, not {value!r}")


@frozen(kw_only=True)
class SubmitPolicy:
    """What to do about a submit whose answer was lost or whose id is taken, and how patiently.

    Attributes:
        on_uncertain: ``"raise"`` leaves it to a person; ``"resubmit"`` prefers a second charge to a
            missing clip.
        on_taken: of an external id that the service has a task under which nobody here submitted:
            ``"raise"`` an ``ExternalIdTakenError``; ``"adopt"`` takes that task for the job's.
            Ids that are made from the content are always adopted.
        look_first: look each external id up before it is submitted, at one request more a submit,
            and take over what is there as ``on_taken`` says. For ids that may have been used by
            processes whose journal this client does not have.
        settle_pause_s: between the two lookups that have to find nothing before a job may be sent
            again; longer where the answer was lost later than this.
        cancel_grace_s: how long a cancelled submit, and the closing of the client, wait for an
            outcome that is still to come. A submit that is cancelled again leaves at once.
        max_retry_after_s: a submit that is rejected for the service's pace is an error once the
            pauses since the last acceptance are longer than this in all, or once the service asks
            for a longer one.
    """

    on_uncertain: str = _choice("raise", "resubmit")
    on_taken: str = _choice("raise", "adopt")
    look_first: bool = field(default=False, validator=_is_flag)
    settle_pause_s: float = _seconds(5.0)
    cancel_grace_s: float = _seconds(10.0)
    max_retry_after_s: float = _seconds(600.0)
