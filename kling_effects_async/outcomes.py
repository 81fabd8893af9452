"""The outcome of one effect of many, as values to match on; a failure does not end the others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from attrs import field, frozen

from kling_effects_async.effects import Effect
from kling_effects_async.models import EffectResult

if TYPE_CHECKING:
    from kling_effects_async.bulk_item import BulkItem

__all__ = ["Done", "Failed", "Outcome"]


@frozen(kw_only=True)
class Done:
    """The task succeeded.

    Attributes:
        effect: the effect; ``None`` in ``resume`` where its image was passed as bytes, which the
            journal does not keep.
        item: the very object that was passed, the effect or its ``BulkItem``; ``None`` in
            ``resume``.
        external_task_id: the job's id, for ``attach`` and for the journal.
        result: what the task made.
        path: the downloaded clip; ``None`` without ``download_to``.
    """

    effect: Effect | None
    external_task_id: str
    result: EffectResult
    path: Path | None = None
    item: Effect | BulkItem | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Failed:
    """There is no result, or its clip could not be downloaded.

    Attributes:
        effect: the effect; ``None`` in ``resume`` where its image was passed as bytes, which the
            journal does not keep.
        item: the very object that was passed, the effect or its ``BulkItem``; ``None`` in
            ``resume``.
        external_task_id: the job's id; ``""`` where it failed before it had one.
        error: why; its class shows what to do, as if ``run`` had raised it.
    """

    effect: Effect | None
    external_task_id: str
    error: Exception
    item: Effect | BulkItem | None = field(default=None, repr=False)


Outcome: TypeAlias = Done | Failed
