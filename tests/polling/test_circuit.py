"""When polls may start, by what polls came to."""

from __future__ import annotations

import pytest

from kling_effects_async.errors import (
    ContentRejectedError,
    InvalidRequestError,
    KlingEffectsError,
    NetworkError,
    RateLimitError,
    ReplyError,
    RequestTimeoutError,
    ServiceError,
    TaskNotFoundError,
)
from kling_effects_async.polling.circuit import Circuit, CircuitState, concerns_service
from kling_effects_async.polling.tracked_task import NEVER


def opened(failures: int = 8, *, asked_s: float | None = None) -> Circuit:
    circuit = Circuit(lambda: 0.5)
    for number in range(failures):
        circuit.failed([f"t{number}"], asked_s, 0.0)
    return circuit


def probe(circuit: Circuit, *, asked_s: float | None = None) -> float:
    """Let one poll start as early as it may, and fail at once; the pause after it."""
    now = circuit.next_start_at
    circuit.started(now)
    assert circuit.next_start_at == NEVER
    circuit.failed(["t1"], asked_s, now)
    return circuit.next_start_at - now


def test_failures_in_a_row_of_several_tasks_open_it() -> None:
    """Fault 63: the circuit opens."""
    assert opened(7).state is CircuitState.CLOSED
    assert opened(8).state is CircuitState.OPEN


def test_one_task_that_always_fails_does_not_open_it() -> None:
    """Fault 63: what concerns one task is no outage."""
    circuit = Circuit(lambda: 0.5)
    assert not any(circuit.failed([f"t{n % 2}"], None, 0.0) for n in range(100))


def test_a_page_counts_as_of_all_its_tasks() -> None:
    circuit = Circuit(lambda: 0.5)
    page = ["t1", "t2", "t3", "t4"]
    opens = [circuit.failed(page, None, 0.0, is_page=True) for _ in range(8)]
    assert opens == [False] * 7 + [True]
    assert circuit.is_of_list


def test_one_answer_starts_the_count_anew() -> None:
    circuit = opened(7)
    circuit.answered(1.0)
    for number in range(7):
        circuit.failed([f"t{number}"], None, 2.0)
    assert circuit.is_closed
    assert circuit.since == 2.0


def test_pauses_between_polls_grow_to_half_a_minute() -> None:
    """Fault 63: one probe at a time."""
    circuit = opened()
    assert circuit.next_start_at == pytest.approx(0.75)
    pauses = [probe(circuit) for _ in range(8)]
    assert pauses == pytest.approx([1.5, 3.0, 6.0, 12.0, 22.5, 22.5, 22.5, 22.5])


def test_a_pause_that_is_asked_for_is_kept_in_full() -> None:
    circuit = opened(asked_s=40.0)
    assert circuit.next_start_at >= 40.0
    assert probe(circuit, asked_s=50.0) >= 50.0


def test_answers_that_come_too_late_to_count_make_no_pause_longer() -> None:
    circuit = opened()
    before = circuit.next_start_at
    assert not any(circuit.failed([f"t{n}"], None, 0.1) for n in range(32))
    assert circuit.next_start_at == before


def test_a_poll_that_shows_nothing_lets_another_start() -> None:
    circuit = opened()
    circuit.started(1.0)
    circuit.spoiled()
    assert circuit.next_start_at <= 1.0


def test_polls_start_slowly_after_an_outage_and_then_without_limit() -> None:
    """Fault 63: then a slow start; no stampede."""
    circuit = opened()
    circuit.started(1.0)
    circuit.answered(1.0)
    seconds = [0] * 21
    while circuit.next_start_at < 21.0:
        now = max(1.0, circuit.next_start_at)
        seconds[int(now - 1.0 + 1e-9)] += 1
        circuit.started(now)
    assert seconds[:10] == pytest.approx([5, 5, 10, 10, 20, 20, 40, 40, 80, 80], abs=1)
    circuit.started(22.0)
    assert circuit.next_start_at <= 22.0


def test_polls_at_once_grow_with_every_answer_and_are_few_after_a_rest() -> None:
    """Fault 63: an outage that begins meets few of them."""
    circuit = Circuit(lambda: 0.5)
    most = [circuit.most_at_once]
    for _ in range(3):
        circuit.answered(0.0)
        most.append(circuit.most_at_once)
    assert most == [8, 9, 10, 11]
    circuit.idle()
    assert circuit.most_at_once == 8


def test_failures_leave_room_for_as_many_polls_as_open_it() -> None:
    """Fault 63: and hung polls of one task or two never hold up the others."""
    circuit = Circuit(lambda: 0.5)
    most = []
    for _ in range(8):
        circuit.failed(["t1"], None, 0.0)
        most.append(circuit.most_at_once)
    assert most == [7, 6, 5, 4, 3, 3, 3, 3]


def test_nothing_is_held_back_where_there_was_no_outage() -> None:
    circuit = Circuit(lambda: 0.5)
    for _ in range(1000):
        circuit.started(0.0)
    assert circuit.next_start_at <= 0.0


@pytest.mark.parametrize(
    ("error", "concerns"),
    [
        (NetworkError("rejected", sent=False), True),
        (RequestTimeoutError("slow"), True),
        (ReplyError("a proxy's page"), True),
        (ServiceError("busy", http_status=503), True),
        (RateLimitError("slow", http_status=429), True),
        (TaskNotFoundError("unknown"), False),
        (InvalidRequestError("no"), False),
        (ContentRejectedError("no"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_said_of_one_task_is_an_answer(error: KlingEffectsError, concerns: bool) -> None:
    assert concerns_service(error) is concerns
