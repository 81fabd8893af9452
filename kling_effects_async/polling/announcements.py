"""Callbacks on their way to the poller: which task each is about, and what it may change.

The id in a callback is Kling's. A gateway may have given the task another one, by which alone it
can be queried, so the external id joins the two. But two tasks may have one external id too, where
a service takes it twice: what a message says of another id is no more than a reason to poll.
Source: new-api's source code, 2026.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from kling_effects_async.callbacks.messages import CallbackMessage
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.polling.poller import Poller
from kling_effects_async.polling.tracked_task import TrackedTask

__all__ = ["Announcements"]

# Messages about tasks that are not known yet. More submits than this never have no answer at once,
# and what is pushed out costs a poll.
_KEPT = 256


class Announcements:
    """Of one account.

    Args:
        harmless: cuts the account's secrets out of the texts of a message; the receiver, which has
            messages of all accounts, does not know them.
        on_early: called with the external id of each rightly signed message about a task whose own
            id is not known here.
    """

    def __init__(
        self,
        poller: Poller,
        harmless: Callable[[TaskSnapshot], TaskSnapshot],
        on_early: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._poller = poller
        self._harmless = harmless
        self._on_early = on_early
        self._early: OrderedDict[str, CallbackMessage] = OrderedDict()  # by external id

    def take(self, message: CallbackMessage) -> bool:
        """Apply a rightly signed message about the very task; poll the task now for any other.

        Returns:
            Whether the task is known.
        """
        claim = self._harmless(message.snapshot)
        task = self._poller.find(claim.task_id, claim.external_task_id)
        if message.is_signed and claim.external_task_id and (task is None or not task.task_id):
            self._keep(claim.external_task_id, message)
            self._on_early(claim.external_task_id)
        if task is None:
            return False
        if _is_another(task, claim):
            return False
        if message.is_signed and claim.task_id == task.task_id:
            self._poller.announced(task, claim)
        else:
            self._poller.hint(task, claim)
        return True

    def catch_up(self, external_task_id: str) -> None:
        """A task is known from now on: apply what came before the answer to its submit."""
        message = self._early.pop(external_task_id, None)
        if message is not None:
            self.take(message)

    def early_id(self, external_task_id: str) -> str | None:
        """The task id of a rightly signed message about such a task, which is not followed yet."""
        message = self._early.get(external_task_id)
        return None if message is None else message.snapshot.task_id

    def _keep(self, name: str, message: CallbackMessage) -> None:
        held = self._early.get(name)
        if held and held.snapshot.is_final:
            return
        self._early[name] = message
        if len(self._early) > _KEPT:
            self._early.popitem(last=False)


def _is_another(task: TrackedTask, claim: TaskSnapshot) -> bool:
    """The ids contradict each other."""
    both = (task.external_task_id, claim.external_task_id)
    return None not in both and both[0] != both[1]
