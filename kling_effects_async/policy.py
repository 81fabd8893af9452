"""When the client polls, tries again and stops: frozen values, checked when they are made.

All times are in seconds. A wrong value raises ``SettingsError``, which names the field.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from attrs import Attribute, field, frozen, validators

from kling_effects_async.arguments import check_share
from kling_effects_async.errors import SettingsError

__all__ = [
    "MAX_VIDEO_BYTES",
    "PollPolicy",
    "RetryPolicy",
    "SharePolicy",
    "SlotPolicy",
    "SubmitPolicy",
]


def _positive(_policy: object, attribute: Attribute[Any], value: Any) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # An int may be larger than any float, and cannot be added to a time then.
    if not is_number or not (0 < value <= sys.float_info.max or value == math.inf):
        raise SettingsError(f"{attribute.name} must be a number above 0, not {value!r}")


def _whole(policy: object, attribute: Attribute[Any], value: Any) -> None:
    _positive(policy, attribute, value)
    if not isinstance(value, int):
        raise SettingsError(f"{attribute.name} must be a whole number, not {value!r}")


def _finite(policy: object, attribute: Attribute[Any], value: Any) -> None:
    _positive(policy, attribute, value)
    if value == math.inf:  # aiohttp rounds a timeout up to a whole number, which inf has not
        raise SettingsError(f"{attribute.name} must be a finite number, such as 3600, not inf")


def _limit(default: float) -> Any:
    """Seconds that one request may take."""
    return field(default=default, validator=_finite)


def _seconds(default: float) -> Any:
    return field(default=default, validator=_positive)


def _count(default: int) -> Any:
    return field(default=default, validator=_whole)


# A server that never stops sending would fill the disk. The longest effects are clips of ten
# seconds; at 100 Mbit/s, more than most cameras record, that is 125 MB, an eighth of this limit.
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
    # 2.0 ** 1024 would be an OverflowError; 30 doublings are beyond every pause.
    grown_s = min(max_pause_s, base_s * 2.0 ** min(failures - 1, 30))
    random_s = grown_s * (0.5 + rng() / 2)
    return random_s if asked_s is None else asked_s + random_s


@frozen(kw_only=True)
class PollPolicy:
    """When a task is polled, and when a wait for it ends.

    Attributes:
        deadline_s: the longest wait, a request without an answer included; it ends in
            ``TaskTimeoutError``, and the task goes on. Default: an hour.
        shortest_s, max_interval_s: bounds of the pause between two polls of one task.
        max_outage_s: how long polls may fail without one answer before a wait ends with the latest
            failure. A time, not a count, so that a burst of failures ends no wait. The task goes
            on. ``float("inf")``: only the deadline ends a wait.
        not_found_grace_s: how long the service may answer that it has no such task, before a wait
            ends in ``TaskNotFoundError``: a replica may be late.
        attached_grace_s: the same for a task that was attached to, and that is neither in an answer
            nor in the journal; never longer than ``not_found_grace_s``.
        result_grace_s: how long a succeeded task may have no video, and its video may be missing on
            its server.
        parallel: the most polls that run at once; after a moment without polls it is eight, and one
            more with each answer.

    Raises:
        SettingsError: a value is not above 0, or ``shortest_s`` is above ``max_interval_s``.

    Source: effects take one to six minutes (third parties' figures, 2025 and 2026); gateways
    refresh their rows about every 15 s (new-api source), so a shorter ``max_interval_s`` gains
    nothing there.
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
    """How often and how long one request is tried.

    Attributes:
        attempts: tries in all, the first included, of a query, or of a submit that surely created
            no task.
        base_s, max_pause_s: the first pause, doubled for each further one, and its limit.
        max_elapsed_s: no try starts later than this after the first. A pause that the service
            requests and that would go beyond it ends the tries at once.
        connect_timeout_s: for the connection alone.
        answer_timeout_s: for one try of a query, from start to end.
        submit_timeout_s: for one try of a submit, the upload of its images included.

    Raises:
        SettingsError: a value is not above 0, or a timeout is not finite.
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

        The upper half of a pause is random, so that clients that fail together do not return
        together. A pause that the service requests is kept in full, and the random one is added.

        Args:
            failures: 1 or more.
            asked_s: the pause that the service requests (``Retry-After``); ``None`` without one.
            rng: a source of numbers in [0, 1).
        """
        return backoff_s(failures, asked_s, rng, base_s=self.base_s, max_pause_s=self.max_pause_s)


@frozen(kw_only=True)
class SlotPolicy:
    """How the account's limit of parallel tasks is found: no service reports it.

    Attributes:
        start: slots to begin with, where the journal has no number from an earlier run; a trial
            account has 5, a standard one 20 (a reseller's figures, 2026).
        maximum: the most slots, whatever the service accepts.
        probe_s: while the account or the key is rejected, one submit in so many seconds is sent, to
            see whether a person has acted.

    Raises:
        SettingsError: a value is not above 0, or ``start`` is above ``maximum``.

    Source: Kling's page on concurrency rules (beyond the limit: code 1303).
    """

    start: int = _count(20)
    maximum: int = _count(10_000)
    probe_s: float = _seconds(60.0)

    def __attrs_post_init__(self) -> None:
        if self.start > self.maximum:
            raise SettingsError(f"start ({self.start}) must not be above maximum ({self.maximum})")


def _as_weights(given: object) -> Mapping[str, int]:
    if not isinstance(given, Mapping):
        raise SettingsError(
            f'weights must be a mapping such as {{"vip": 3}}, not {type(given).__name__}'
        )
    for name, weight in given.items():
        if not isinstance(name, str):
            raise SettingsError(f"a share in weights must be text, not {type(name).__name__}")
        check_share("a share in weights", name, may_be_empty=True)
        if not isinstance(weight, int) or isinstance(weight, bool) or weight < 1:
            raise SettingsError(
                f"the weight of {name!r} must be a whole number above 0, not {weight!r}"
            )
    return MappingProxyType(dict(given))


@frozen(kw_only=True)
class SharePolicy:
    """How the slots are shared out among those who wait for one.

    A share is whatever a submit's ``share=`` names, such as a user; all submits without one are one
    share, ``""``. Each free slot goes to the share that holds the fewest for its weight, and among
    those to the one whose turn is the oldest.

    Attributes:
        weights: by share; 1 for all others. Where slots are scarce, a share of weight 3 holds three
            for each one that a share of weight 1 holds, or gets three turns in a row.
        max_per_share: the most slots that one share may hold, though others are free; ``None`` for
            no limit. Tasks of an earlier process count, and may be more.

    Raises:
        SettingsError: a weight or ``max_per_share`` is no whole number above 0, or a name in
            ``weights`` cannot be one of a share.
    """

    # Not in the hash: a mapping has none.
    weights: Mapping[str, int] = field(factory=dict, converter=_as_weights, hash=False)
    max_per_share: int | None = field(default=None, validator=validators.optional(_whole))

    def weight_of(self, share: str) -> int:
        """The weight of a share; 1 where none is given."""
        return self.weights.get(share, 1)


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
    """What to do about a submit whose answer was lost or whose id is taken, and for how long.

    Attributes:
        on_uncertain: of a job that stays uncertain: ``"raise"`` a ``SubmissionUncertainError``, for
            a person to decide; ``"resubmit"`` risks a second charge for no missing clip.
        on_taken: of an external id under which the service has a task that was not submitted from
            here: ``"raise"`` an ``ExternalIdTakenError``; ``"adopt"`` makes that task the job's.
            Under an id that is made from the content, a task is always adopted.
        look_up_first: look each external id up before it is submitted, at one request more a
            submit; ``on_taken`` decides about a task that is found. For ids that processes may
            have used whose journal this client does not have.
        settle_pause_s: between the two lookups that have to find nothing before a job may be sent
            again; longer where the answer was lost after more than this.
        cancel_grace_s: how long a cancelled submit, and the closing of the client, wait for an
            outcome. A submit that is cancelled twice ends at once; its request goes on by itself.
        max_retry_after_s: a submit that is rejected for the service's pace fails once the pauses
            since the last acceptance are longer than this in all, or once the service requests a
            longer one.

    Raises:
        SettingsError: a value is no such word, no such flag, or not above 0.
    """

    on_uncertain: str = _choice("raise", "resubmit")
    on_taken: str = _choice("raise", "adopt")
    look_up_first: bool = field(default=False, validator=_is_flag)
    settle_pause_s: float = _seconds(5.0)
    cancel_grace_s: float = _seconds(10.0)
    max_retry_after_s: float = _seconds(600.0)
