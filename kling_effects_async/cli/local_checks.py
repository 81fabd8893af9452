"""What is known of a job before it is sent: nobody is to read "submitting" of one that is not."""

from __future__ import annotations

from kling_effects_async import BudgetExceededError, Effect, Job, Journal, Service
from kling_effects_async.cli.order import Order
from kling_effects_async.journal.budget import check_budget, expected_cost
from kling_effects_async.journal.job import UNSENT
from kling_effects_async.journal.store import MemoryStore
from kling_effects_async.protocol.requests import build_submit

__all__ = ["is_to_be_sent"]


async def is_to_be_sent(
    job: Job, effect: Effect, service: Service, order: Order, journal: Journal | None
) -> bool:
    """Whether its submit will ask the service for a task; if not, the submit itself says why.

    Raises:
        EffectRejectedError: the effect or its id cannot be meant.
    """
    build_submit(service, effect, external_task_id=job.external_task_id)
    held = None if journal is None else await journal.get(job.account, job.external_task_id)
    if held is not None and (held.state not in UNSENT or held.fingerprint != job.fingerprint):
        return False
    store = journal or MemoryStore()
    expected = expected_cost(await store.typical_units(job.account, job.scene))
    try:
        committed = await store.committed(job.account)
        check_budget(job.scene, committed, expected, order.budget_units)
    except BudgetExceededError:
        return False
    return True
