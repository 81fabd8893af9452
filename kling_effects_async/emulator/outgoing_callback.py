"""One message to a receiver of callbacks, ready to be sent, as a value."""

from __future__ import annotations

import json
from collections.abc import Mapping

from attrs import field, frozen

from kling_effects_async.emulator.callback_bodies import (
    callback_body,
    console_test_body,
    status_word,
)
from kling_effects_async.emulator.callback_faults import CallbackFault
from kling_effects_async.emulator.choices import CallbackShape
from kling_effects_async.emulator.tasks import TaskView

__all__ = ["AS_IT_SHOULD_BE", "OutgoingCallback", "about", "console_test"]

AS_IT_SHOULD_BE = CallbackFault.none()


@frozen(kw_only=True)
class OutgoingCallback:
    """What is sent, to whom, and what goes wrong with it.

    Attributes:
        webhook_id: made once, so that every copy and every attempt has the same.
        changed_s: emulated Unix time of the change that it tells.
        attempt: from 1.
    """

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    task_id: str
    external_task_id: str | None
    status: str
    shape: CallbackShape
    webhook_id: str
    changed_s: float
    fault: CallbackFault = AS_IT_SHOULD_BE
    attempt: int = 1


def about(
    view: TaskView, shape: CallbackShape, webhook_id: str, fault: CallbackFault
) -> OutgoingCallback:
    """The message about a change of a task that has a ``callback_url``."""
    return OutgoingCallback(
        url=view.task.request.callback_url or "",
        body=_encoded(callback_body(view, shape)),
        task_id=view.task.task_id,
        external_task_id=view.task.request.external_task_id,
        status=status_word(view, shape),
        shape=shape,
        webhook_id=webhook_id,
        changed_s=view.changed_s,
        fault=fault,
    )


def console_test(url: str, task_id: str, webhook_id: str, now_s: float) -> OutgoingCallback:
    """The message of the console's test button, about a task that is made up."""
    return OutgoingCallback(
        url=url,
        body=_encoded(console_test_body(task_id, now_s)),
        task_id=task_id,
        external_task_id=None,
        status="submitted",
        shape=CallbackShape.NEWER,
        webhook_id=webhook_id,
        changed_s=now_s,
    )


def _encoded(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()
