"""One effect of a bulk run, with what is special to it."""

from __future__ import annotations

from attrs import field, frozen

from kling_effects_async.effects import Effect

__all__ = ["BulkItem"]


@frozen
class BulkItem:
    """An effect for ``run_many`` and ``submit_many``, with its own id, share and file name.

    Attributes:
        external_task_id: the job's id; ``None``: derived from the run, the scene and the images.
        share: whom the job is counted for; ``None``: the call's share.
        name: the clip's file name without ``.mp4``; ``None``: by the call's ``name``.
    """

    effect: Effect
    external_task_id: str | None = field(default=None, kw_only=True)
    share: str | None = field(default=None, kw_only=True)
    name: str | None = field(default=None, kw_only=True)
