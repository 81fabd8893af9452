"""What happens in a run: frozen values, written as one line of JSON and read again."""

from __future__ import annotations

import json

from attrs import asdict, frozen
from cattrs import Converter

__all__ = ["FALSE_REJECTIONS", "Event", "Rules", "Script"]

# The service accepts a submit, and says that it does not: only where used ids are rejected can a
# client that believes it pay once.
FALSE_REJECTIONS = ("after: 1302", "after: 1303", "after: 1102", "after: 5000")

# The pause between two lookups is 5 s by default. What a service accepts, or shows, only after both
# of them, no client can know: where it takes used ids, what is late comes within the pause.
_LATE_S, _VERY_LATE_S = 2.0, 8.0


@frozen(kw_only=True)
class Rules:
    """What no document tells about a service.

    Attributes:
        accepts_used_ids: a second submit under one external id is a second task.
        lookups: ``work``; ``none``: tasks are found by their own ids alone; ``empty``: a lookup is
            answered with 200 and no task.
        unknown: the form of the answer about an unknown id, 0 to 3; see ``service``.
        accepts_late: a submit is accepted only 2 s after it came, or 8 s, see ``very_late``.
        is_late_replica: a new task is found so long after it was accepted.
        very_late: what is late is late by 8 s, if used ids are rejected.
        lists: ``work``, ``lag`` (by 2 s) or ``none``.
        has_known: the account has a task from before, so that absence can be proved.
        slots: how many tasks may run; 0 for any number.
        fails: each task fails in the end.
        reports_units: a task's cost is reported.
        budget_units: what the client may spend; 0 for no limit.
    """

    accepts_used_ids: bool = True
    lookups: str = "work"
    unknown: int = 0
    accepts_late: bool = False
    is_late_replica: bool = False
    very_late: bool = False
    lists: str = "none"
    has_known: bool = True
    slots: int = 0
    fails: bool = False
    reports_units: bool = True
    budget_units: int = 0

    @property
    def accepts_after_s(self) -> float:
        return self._late_s if self.accepts_late else 0.0

    @property
    def shows_after_s(self) -> float:
        return self._late_s if self.is_late_replica else 0.0

    @property
    def _late_s(self) -> float:
        return _VERY_LATE_S if self.very_late and not self.accepts_used_ids else _LATE_S

    @property
    def lists_after_s(self) -> float:
        return _LATE_S if self.lists == "lag" else 0.0

    @property
    def shows_tasks(self) -> bool:
        """An accepted task can be found by its external id."""
        return self.lookups == "work" or self.lists != "none"


@frozen
class Event:
    """Something that happens to the client's process.

    Attributes:
        kind: ``die`` at a point, where something leaves the process; or, at a step of the loop,
            ``cancel`` or ``cancel twice`` every caller, ``call again`` after cancelling all, or
            ``call again after two`` cancellations, or ``close`` the client.
        at: the number of the point, or of the step, in its life.
    """

    kind: str
    at: int


@frozen(kw_only=True)
class Script:
    """One run.

    Attributes:
        jobs: how many.
        own_slots: how many tasks the client may run, whatever the service would take.
        submits, queries: what goes wrong with the requests of each kind, in their order; "" for
            nothing. See ``wire``.
        downloads: the same of the requests for clips; ``None``: no clip is downloaded. See
            ``clips``.
        is_named: clips are named by their scene, which is the same for all.
        events: one for each life. After them comes a life in which all goes well, and by that the
            run is judged.
        resumes_only: after the first life nobody calls again, so all is left to ``resume``.
        restart_s: how long after each death a new process begins.
        seed: of delays, and of the order of callbacks; 0 keeps asyncio's order.
        is_real: the journal is SQLite's file.
    """

    rules: Rules = Rules()
    jobs: int = 1
    own_slots: int = 2
    submits: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    downloads: tuple[str, ...] | None = None
    is_named: bool = False
    resumes_only: bool = False
    restart_s: float = 0.0
    seed: int = 0
    is_real: bool = False

    @property
    def needs_folder(self) -> bool:
        """It has files: a journal, or clips."""
        return self.is_real or self.downloads is not None

    @property
    def misleads(self) -> bool:
        """The service says of a task that was accepted that there is none, and rejects used ids."""
        rules = self.rules
        is_late = rules.very_late and (rules.accepts_late or rules.is_late_replica)
        return not rules.accepts_used_ids and (is_late or self._denies or self._hides > 1)

    @property
    def is_fair(self) -> bool:
        """A client can know all that it needs to pay once."""
        return not self.rules.accepts_used_ids or (not self._denies and self._hides <= 1)

    @property
    def _denies(self) -> bool:
        return any(fault in FALSE_REJECTIONS for fault in self.submits)

    @property
    def _hides(self) -> int:
        """How many lookups may be told, one after the other, that there is no such task."""
        is_late = self.rules.accepts_late or self.rules.is_late_replica
        return self.queries.count("unknown") + is_late

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Script:
        return _converter.structure(json.loads(text), cls)


_converter = Converter(forbid_extra_keys=True)
