"""What must hold after each commit and each acceptance, and at the end of a run.

Its tables are its own: it shares no rule with the package.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from kling_effects_async import ExternalIdTakenError, JournalError
from kling_effects_async.journal.job import Job, JobState
from tests.simulation.script import Script
from tests.simulation.service import KNOWN, UNITS, Service
from tests.simulation.world import World

__all__ = ["Referee"]

_S = JobState
_STEPS = {
    _S.PLANNED: {_S.SUBMITTING, _S.REJECTED, _S.ABANDONED},
    _S.SUBMITTING: {_S.PLANNED, _S.UNCERTAIN, _S.ACCEPTED, _S.REJECTED},
    _S.UNCERTAIN: {_S.ACCEPTED, _S.PLANNED, _S.ABANDONED},
    _S.ACCEPTED: {_S.SUCCEEDED, _S.FAILED, _S.ABANDONED},
    _S.SUCCEEDED: {_S.DOWNLOADED, _S.ABANDONED},
    _S.REJECTED: {_S.PLANNED},
}
# What a job may be on the disk once the service has charged for it.
_REMEMBERED = {
    _S.SUBMITTING,
    _S.UNCERTAIN,
    _S.ACCEPTED,
    _S.SUCCEEDED,
    _S.FAILED,
    _S.DOWNLOADED,
}


class Referee:
    """Judges one run.

    Args:
        job_on_disk: what the disk holds under an external id.
        clips: all that the storage has, or had, for a task.
        folder: where clips are downloaded to; ``None``: nowhere.
    """

    def __init__(
        self,
        world: World,
        job_on_disk: Callable[[str], Job | None],
        clips: Callable[[str], Collection[bytes]],
        folder: Path | None,
    ) -> None:
        self.service: Service | None = None
        self._clips = clips
        self._folder = folder
        self._world = world
        self._job_on_disk = job_on_disk
        self._in_flight: Counter[str] = Counter()
        self._took: set[str] = set()

    # -- after each step

    def committed(self, before: Job | None, after: Job) -> None:
        """A job was written."""
        if before is None:
            if after.state is not _S.PLANNED:
                self._violate(f"{after.external_task_id} was added as {after.state}")
            return
        if after.state is not before.state and after.state not in _STEPS.get(before.state, ()):
            self._violate(f"{after.external_task_id} went from {before.state} to {after.state}")
        if before.task_id not in (None, after.task_id):
            self._violate(f"{after.external_task_id} has another task than before")
        if after.path is not None and not Path(after.path).exists():
            self._violate(f"{after.external_task_id} has its clip, says the disk, and has none")
        self._check_remembered(after.external_task_id)

    def leaves(self, name: str) -> None:
        """A submit is about to send its first byte."""
        if (state := self._state(name)) is not _S.SUBMITTING:
            self._violate(f"a submit of {name} leaves, and the disk says {state}")
        self._in_flight[name] += 1
        self._check_slots()

    def came_back(self, name: str, *, is_accepted: bool) -> None:
        """The client has the outcome of a submit."""
        self._in_flight[name] -= 1
        if is_accepted:
            self._took.add(name)

    def begin_life(self) -> None:
        """A new process holds no slot, except for what it takes over."""
        self._in_flight.clear()
        self._took.clear()

    def accepted(self) -> None:
        """The service has worked on a submit."""
        assert self.service is not None
        for name, tasks in self.service.books.items():
            if len(tasks) > 1:
                self._violate(f"{name} is paid {len(tasks)} times: paid twice")
            self._check_remembered(name)
        self._check_budget(self.service)

    def _check_budget(self, service: Service) -> None:
        script = self._world.script
        rules = script.rules
        # After a false rejection a client counts nothing; and a failed task costs nothing.
        if not rules.budget_units or script.misleads or rules.fails:
            return
        cost = UNITS * sum(name != KNOWN for name in service.books)
        if cost > rules.budget_units:
            self._violate(f"{cost} units were spent of {rules.budget_units}")

    def reported(self, name: str) -> None:
        """A caller has got the result of a job, and its clip if it is downloaded."""
        if (state := self._state(name)) is not self._success:
            self._violate(f"the end of {name} is reported, and the disk says {state}")

    def check_clips(self) -> None:
        """Something was done to a file: what has a clip's name is one, and whole."""
        assert self._folder is not None
        for path in self._folder.glob("*.mp4"):
            clips = [self._clips(task_id) for task_id in self._tasks_of(path)]
            if not any(path.read_bytes() in versions for versions in clips):
                self._violate(f"{path.name} is not the whole clip of its task: lost")

    def _tasks_of(self, path: Path) -> list[str]:
        """Whose clip may have this name; a job from before the run has none of its own."""
        assert self.service is not None
        owners = [job for job in map(self._job_on_disk, self.service.books) if job is not None]
        named = [job.task_id or "" for job in owners if job.clip_name == path.name]
        return named or [path.stem]

    def raised(self, name: str, error: Exception) -> None:
        """A caller has got an error about a job."""
        if isinstance(error, ExternalIdTakenError):
            self._violate(f"the task of {name} is called somebody else's, so that one more is paid")
        if isinstance(error, JournalError):
            self._violate(f"what becomes of {name} cannot be written: {error}")

    def _check_remembered(self, name: str) -> None:
        assert self.service is not None
        tasks = self.service.books.get(name, [])
        job = self._job_on_disk(name)
        if tasks and not self._is_remembered(job):
            self._violate(f"{name} is paid, and the disk says {self._state(name)}: lost")
        elif job is not None and job.task_id and job.task_id not in {t.task_id for t in tasks}:
            self._violate(f"{name} has a task that is not its own: lost")

    def _is_remembered(self, job: Job | None) -> bool:
        if job is None or job.state in _REMEMBERED:
            return job is not None
        # It was misled, by a rejection or a proof. The next submit, under an id that is used and
        # that it knows for its own, finds the task.
        return self._world.script.misleads and job.was_sent

    def _check_slots(self) -> None:
        assert self.service is not None
        now_s = self._world.now_s
        tasks = [self.service.task(name) for name in self._took]
        running = sum(task is not None and not task.has_ended(now_s) for task in tasks)
        if running + self._in_flight.total() > self._world.script.own_slots:
            self._violate(f"{running} tasks and {self._in_flight.total()} submits at once")

    # -- at the end

    def end(self, names: Sequence[str]) -> None:
        """After the last life, which met no fault and came to its end."""
        jobs = [job for job in map(self._job_on_disk, names) if job is not None]
        named = [job.clip_name for job in jobs if job.clip_name is not None]
        if len(set(named)) < len(named):
            self._violate(f"two clips have one name: {named}")
        for name in names:
            self._check_end(name, self._world.script)

    def _check_end(self, name: str, script: Script) -> None:
        assert self.service is not None
        rules, state, task = script.rules, self._state(name), self.service.task(name)
        if script.resumes_only and task is None and state in (None, _S.REJECTED):
            return  # nobody wanted it any more
        if task is not None and state is _S.UNCERTAIN and not rules.shows_tasks:
            return  # listed, and nobody can know more
        if (
            state is _S.PLANNED
            and rules.budget_units
            and self._is_remembered(self._job_on_disk(name))
        ):
            return  # it is found by the submit that the budget does not allow
        ended = _S.FAILED if rules.fails else self._success
        if task is not None and state is not ended:
            self._violate(f"{name} is paid, and its job is {state} at the end: lost")
        if task is None and state is _S.UNCERTAIN:
            if rules.lookups == "work" and rules.has_known:
                self._violate(f"{name} has no task, which can be proved, and is {state} at the end")
        elif task is None and not rules.budget_units:
            self._violate(f"{name} is wanted, and is {state} at the end: it was never sent")

    @property
    def _success(self) -> JobState:
        return _S.SUCCEEDED if self._folder is None else _S.DOWNLOADED

    def _state(self, name: str) -> JobState | None:
        """Where the job stands on the disk."""
        job = self._job_on_disk(name)
        return None if job is None else job.state

    def _violate(self, what: str) -> None:
        self._world.violate(what)
