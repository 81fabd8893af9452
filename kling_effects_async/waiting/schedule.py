"""When to ask next about one task; pure.

Asking at a growing pace that stays a small part of the task's age costs few questions for long
tasks and learns of short ones soon.
"""

from __future__ import annotations

from collections.abc import Callable

from kling_effects_async.policy import PollPolicy

__all__ = ["pause_after_trouble", "pause_before_next"]

# A tenth of the age: the end of a task is known, on average, 5 % of its length late.
_SHARE_OF_AGE = 0.1


def pause_before_next(policy: PollPolicy, age_s: float) -> float:
    """Seconds until the next question about a task of this age."""
    return min(policy.ceiling_s, max(policy.shortest_s, age_s * _SHARE_OF_AGE))


def pause_after_trouble(
    policy: PollPolicy, failures: int, asked_s: float | None, random: Callable[[], float]
) -> float:
    """Seconds until the next try after ``failures`` questions in a row had no useful answer.

    At least what the service asked for; jitter comes on top of it, never off it.
    """
    grown = min(policy.ceiling_s, policy.shortest_s * 2 ** min(failures - 1, 10))
    drawn = grown * (0.5 + random() / 2)
    return drawn if asked_s is None else asked_s + random() * policy.shortest_s
