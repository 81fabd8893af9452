"""What became of one effect of many: values to match on; one failure never sinks the rest."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from attrs import frozen

from kling_effects_async.effects import Effect
from kling_effects_async.models import EffectResult

__all__ = ["Done", "Failed", "Outcome"]


@frozen(kw_only=True)
class Done:
    """The task succeeded.

    Attributes:
        effect: ``None`` where a journal holds a job whose image was given as bytes.
        external_task_id: the job's id, for ``attach`` and for the journal.
        path: where the video is, if it was to be downloaded.
    """

    effect: Effect | None
    external_task_id: str
    result: EffectResult
    path: Path | None = None


@frozen(kw_only=True)
class Failed:
    """There is no video, and ``error`` says why and what to do.

    Attributes:
        effect: ``None`` where a journal holds a job whose image was given as bytes.
    """

    effect: Effect | None
    external_task_id: str
    error: Exception


Outcome: TypeAlias = Done | Failed
