"""What a report is made of: the run and its items, as frozen values."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from attrs import frozen

__all__ = ["ItemState", "ReportItem", "RunReport"]


class ItemState(enum.Enum):
    """Where an item stands at the end of a run, in the words of the page.

    Attributes:
        sign: one character that tells the states apart without colour.
        is_failure: somebody has to do something about it.
        is_open: it has not ended, and the same run goes on with it.
    """

    SAVED = "saved", "✓"
    EXISTED = "there already", "="
    NOT_SAVED = "not saved", "↓"
    FAILED = "failed", "✕"
    REJECTED = "rejected", "⊘"
    UNCERTAIN = "uncertain", "?"
    RUNNING = "running", "…"
    NOT_SENT = "not sent", "–"

    sign: str

    def __new__(cls, word: str, sign: str) -> ItemState:
        state = object.__new__(cls)
        state._value_ = word
        state.sign = sign
        return state

    def __str__(self) -> str:
        return str(self.value)

    @property
    def is_failure(self) -> bool:
        return self in _FAILURES

    @property
    def is_open(self) -> bool:
        return self in _OPEN


_FAILURES = {ItemState.NOT_SAVED, ItemState.FAILED, ItemState.REJECTED, ItemState.UNCERTAIN}
_OPEN = {ItemState.RUNNING, ItemState.NOT_SENT}


@frozen(kw_only=True)
class ReportItem:
    """One item of the run: a picture, or two, and what became of it.

    Texts may hold anything: the page escapes them, and cuts what looks like a secret out of all
    but the ids.

    Attributes:
        name: what people know it by, such as the file's name.
        where: where it comes from, such as ``photos.csv:17``.
        input_thumbnail, first_frame: small JPEGs (``thumbnail``, ``first_frame``); ``None``: there
            is none.
        clip: the clip's address relative to the page (``relative_url``). Anything else, such as an
            address with a host or a query, is not linked.
        reason: why it failed, in the same words for all items that failed alike.
        detail: what is said of this item alone, such as the service's words.
        advice: what to do about it.
        submitted_s, accepted_s, ended_s: in seconds since the run's start.
        units: what the task cost; ``None`` where it is not known.
    """

    name: str
    state: ItemState
    where: str = ""
    input_thumbnail: bytes | None = None
    first_frame: bytes | None = None
    clip: str | None = None
    reason: str = ""
    detail: str = ""
    advice: str = ""
    external_task_id: str | None = None
    task_id: str | None = None
    submitted_s: float | None = None
    accepted_s: float | None = None
    ended_s: float | None = None
    units: Decimal | None = None

    @property
    def took_s(self) -> float | None:
        """From the acceptance to the end; ``None`` where one of them is not known."""
        if self.accepted_s is None or self.ended_s is None:
            return None
        return max(0.0, self.ended_s - self.accepted_s)


@frozen(kw_only=True)
class RunReport:
    """A run, as it is reported.

    Attributes:
        started_at, ended_at: aware; the page shows them in their own time zone.
        items: read once, and only while the page is written; a generator will do.
        slots: ``(seconds since the start, slots from then on)``, in this order; empty: not known.
        cost_source: where the units come from, as a sentence; ``""``: the page says for how many
            tasks the service reported them.
        cost_unit: Kling's units, or the currency of a gateway.
        budget_units: what the run was allowed to spend; ``None``: no limit.
        is_preview: the clips were made on this machine, not by Kling's model.
        retry_command: the command line that runs the failed items again; ``None``: there is none.
        continue_command: the one that goes on with what has not ended.
    """

    title: str
    scene: str
    started_at: datetime
    ended_at: datetime
    items: Iterable[ReportItem]
    slots: Sequence[tuple[float, int]] = ()
    cost_source: str = ""
    cost_unit: str = "units"
    budget_units: Decimal | None = None
    is_preview: bool = False
    retry_command: str | None = None
    continue_command: str | None = None

    @property
    def took_s(self) -> float:
        return max(0.0, (self.ended_at - self.started_at).total_seconds())
