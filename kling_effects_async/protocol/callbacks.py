"""Callback body -> ``TaskSnapshot``, in both forms Kling documents.

The effects API sends the task itself, with no envelope; the newer APIs and the console's test
button send ``id``, ``status``, ``outputs``. Source: Kling's callbacks page, 2026-09.
"""

from __future__ import annotations

from kling_effects_async.errors import ReplyError
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.protocol.layers import layers_of, parse_json
from kling_effects_async.protocol.redaction import Shown
from kling_effects_async.protocol.task_body import read_snapshot

__all__ = ["read_callback"]


def read_callback(body: bytes) -> TaskSnapshot:
    """What a callback claims. Unless it was signed, query the task before you rely on it.

    Raises:
        ReplyError: nobody can read it.
    """
    shown = Shown(())  # a callback is received without a client, so no key is known to cut out
    try:
        return shown.value(_read(body))
    except ReplyError as error:
        rejected = shown.error(error)
    raise rejected  # out here, with no body behind it


def _read(body: bytes) -> TaskSnapshot:
    try:
        document = parse_json(body)
    except ValueError:
        raise ReplyError("a callback whose body is not sound JSON") from None
    if not isinstance(document, dict):
        raise ReplyError(f"a callback with a JSON {type(document).__name__} instead of a task")
    return read_snapshot(layers_of(document))
