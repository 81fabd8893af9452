"""How far a bulk run is, from its events and outcomes."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

from kling_effects_async import (
    ClientDrainingError,
    Done,
    EffectResult,
    Failed,
    JobAccepted,
    JobRejected,
    NetworkError,
    SingleImageEffect,
    SubmissionUncertainError,
    TaskChanged,
    TaskEnded,
    TaskSnapshot,
    TaskStatus,
)
from kling_effects_async.cli.bulk.run_state import RunState

NOW = datetime(2026, 11, 29, tzinfo=UTC)
EFFECT = SingleImageEffect("squish", image="https://img.example/1.jpg")


def snapshot(status: TaskStatus, units: str | None = None) -> TaskSnapshot:
    cost = None if units is None else Decimal(units)
    return TaskSnapshot(task_id="t", status=status, raw_status=str(status), units=cost)


def state(*, is_preview: bool = False) -> RunState:
    return RunState(to_do=Counter({"squish": 10}), started_s=0.0, is_preview=is_preview)


def accept(run: RunState, name: str, at_s: float) -> None:
    run.hear(JobAccepted(at=NOW, external_task_id=name, task_id=f"t-{name}"), at_s)


def change(run: RunState, name: str, at_s: float) -> None:
    processing = snapshot(TaskStatus.PROCESSING)
    run.hear(TaskChanged(at=NOW, external_task_id=name, snapshot=processing), at_s)


def end(run: RunState, name: str, at_s: float, units: str | None = "2") -> None:
    final = snapshot(TaskStatus.SUCCEEDED, units)
    run.hear(TaskEnded(at=NOW, external_task_id=name, snapshot=final), at_s)


def done(run: RunState, name: str) -> None:
    result = EffectResult(task_id=f"t-{name}", external_task_id=name, videos=())
    run.add(Done(effect=EFFECT, external_task_id=name, result=result), scene="squish")


def test_a_task_runs_from_its_acceptance_to_its_end() -> None:
    run = state()
    accept(run, "a", 1.0)
    change(run, "a", 5.0)
    (task,) = run.running.values()
    assert (task.since_s, task.status, run.latest) == (1.0, "processing", "a: processing")
    end(run, "a", 60.0)
    done(run, "a")
    assert (run.running, run.done, run.before, run.finished) == ({}, 1, 0, 1)
    assert run.units == 2


def test_what_was_paid_before_is_counted_so_and_costs_nothing_now() -> None:
    run = state()
    end(run, "old", 1.0)  # the journal has its end
    done(run, "old")
    assert (run.done, run.before, run.per_minute(9.0)) == (1, 1, None)
    assert run.units == 0


def test_a_task_of_an_earlier_process_that_ends_now_costs_now_and_was_paid_before() -> None:
    run = state()
    change(run, "old", 1.0)
    end(run, "old", 9.0)
    done(run, "old")
    assert (run.done, run.before) == (1, 1)
    assert run.units == 2


def test_the_rate_is_that_of_the_last_ends() -> None:
    run = state()
    for number in range(200):
        accept(run, f"{number}", 0.0)
        # Slow at first, then one each second.
        end(run, f"{number}", 100.0 * number if number < 100 else 9900.0 + number)
    rate = run.per_minute(10_099.0)
    assert rate is not None
    assert 59 < rate < 61


def test_failures_are_counted_by_reason_and_what_may_be_paid_apart() -> None:
    run = state()
    uncertain = SubmissionUncertainError("lost", scene="squish", external_task_id="u")
    for error in (NetworkError("x"), NetworkError("y"), uncertain):
        run.add(Failed(effect=EFFECT, external_task_id="", error=error), scene="squish", reason="r")
    held_back = Failed(effect=EFFECT, external_task_id="", error=ClientDrainingError("later"))
    run.add(held_back, scene="squish", reason="r", is_held_back=True)
    run.skip("squish")
    assert (run.failed, run.uncertain, run.not_sent, run.skipped) == (Counter(r=2), 1, 1, 1)
    assert (run.finished, run.to_do) == (5, Counter(squish=5))


def test_a_rejected_job_runs_no_more() -> None:
    run = state()
    accept(run, "a", 1.0)
    run.hear(JobRejected(at=NOW, external_task_id="a", error=NetworkError("x")), 2.0)
    assert run.running == {}


def test_previews_cost_nothing() -> None:
    run = state(is_preview=True)
    accept(run, "a", 1.0)
    end(run, "a", 2.0)
    assert run.units == 0


def test_memory_does_not_grow_with_the_rows() -> None:
    run = state()
    run.to_do["squish"] = 20_000
    for number in range(20_000):
        name = f"{number}"
        accept(run, name, 1.0)
        end(run, name, 2.0, None)
        done(run, name)
    assert len(repr(run)) < 2_000  # it names every attribute
