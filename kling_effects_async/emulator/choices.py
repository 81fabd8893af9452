"""The emulator's settings that are one of several words.

Apart from the other settings, which need attrs: ``kling-effects emulate --help`` lists them.
"""

from __future__ import annotations

import enum

__all__ = ["CallbackShape", "Clips", "RepeatedId", "ReplyShape", "RetiredScenes", "UnknownTask"]


class _Choice(enum.Enum):
    """A member may be given as its value, which is a word."""

    @classmethod
    def _missing_(cls, value: object) -> None:
        words = ", ".join(repr(member.value) for member in cls)
        raise ValueError(f"{cls.__name__} must be one of {words}, not {value!r}")


class ReplyShape(_Choice):
    """How the gateway wraps its answers. The official paths always answer ``FLAT``.

    FLAT: Kling's own envelope, as the gateway's query page shows it.
    UNION: the whole 200 schema of the gateway's create page, every member filled.
    WRAPPED: the new-api envelope of 2025 around Kling's ``data`` object.
    WRAPPED_TWICE: the same around Kling's whole answer, its own envelope included.
    """

    FLAT = "flat"
    UNION = "union"
    WRAPPED = "wrapped"
    WRAPPED_TWICE = "wrapped_twice"


class CallbackShape(_Choice):
    """How the body of a callback is written: both forms of the K5 callbacks page, 2026-09.

    LEGACY: ``task_id``, ``task_status``, ``task_result``; of models up to 3.0 Omni. Effects are on
        a path of that family, so this form is expected of them.
    NEWER: ``id``, ``status``, ``outputs``, ``billing``, with ``succeeded`` for ``succeed``; of the
        paths with a model's name, and of the console's test button.
    """

    LEGACY = "legacy"
    NEWER = "newer"


class RepeatedId(_Choice):
    """What happens to a submit whose ``external_task_id`` was used before.

    REJECT: HTTP 400, code 1201, and nothing is charged: seen at Kling in 2026, account-wide.
    ACCEPT: a second task, paid again; no gateway promises anything better.
    """

    REJECT = "reject"
    ACCEPT = "accept"


class UnknownTask(_Choice):
    """What a query answers when no task has the id.

    KLING: HTTP 400, code 1201, ``Task not found by id/external id: ...``. Seen at Kling's own
        hosts, 2026-04 to 2026-09.
    NOT_FOUND: HTTP 404, code 1203. Read out of Kling's table of codes; nobody has seen it.
    TASK_NOT_EXIST: HTTP 400 with that word for a code. Source: new-api's relay_task.go, 2025-04.
    EMPTY: HTTP 200, ``success`` and no task. Source: new-api's generic fetch, 2026.

    The last two are a gateway's: the official path answers as ``KLING`` then.
    """

    KLING = "kling"
    NOT_FOUND = "not_found"
    TASK_NOT_EXIST = "task_not_exist"
    EMPTY = "empty"


class RetiredScenes(_Choice):
    """What happens to a submit of a scene that neither of Kling's newest lists names (2026-09).

    ACCEPT: a task like any other; ``hug`` and ``squish`` are such scenes.
    REJECT: HTTP 400, code 1201, as for a scene that never existed. A choice: no answer to a retired
        scene was seen.
    """

    ACCEPT = "accept"
    REJECT = "reject"


class Clips(_Choice):
    """What the videos show.

    PREVIEW and TEST are rendered from the caller's picture, in good and in small; STOCK is one tiny
    real H.264 file for all tasks, for tests that do not look at pictures.
    """

    PREVIEW = "preview"
    TEST = "test"
    STOCK = "stock"

    @property
    def is_rendered(self) -> bool:
        return self is not Clips.STOCK
