"""The states of a job, apart from what needs attrs: ``kling-effects jobs --help`` lists them."""

from __future__ import annotations

import enum

__all__ = ["JobState"]


class JobState(enum.Enum):
    """Where a job stands with us; where its task stands at the service is ``TaskStatus``."""

    PLANNED = "planned"
    SUBMITTING = "submitting"
    UNCERTAIN = "uncertain"
    ACCEPTED = "accepted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    DOWNLOADED = "downloaded"
    ABANDONED = "abandoned"

    def __str__(self) -> str:
        return self.value
