"""The fields of a log record: a stable name of what happened, and the ids it is about.

Every record of the package has them, as attributes that JSON formatters write out; ``docs/logs.md``
has the table. All loggers are below ``kling_effects_async``.
"""

from __future__ import annotations

from kling_effects_async.errors import ApiError

__all__ = ["log_fields"]


def log_fields(
    event: str, *, error: BaseException | None = None, **ids: object
) -> dict[str, object]:
    """The ``extra`` of a log call.

    Args:
        event: what happened, such as "task.accepted"; it never changes, as the message may.
        error: becomes ``error``, the name of its class, and ``code``, the service's business code;
            its text is in the message alone.
        ids: what it is about. Those that are ``None`` are left out. A name that every record has
            already, such as ``name`` or ``message``, is a ``KeyError`` of ``logging``.
    """
    code = error.code if isinstance(error, ApiError) else None
    kind = None if error is None else type(error).__name__
    fields = {"event": event, **ids, "error": kind, "code": code}
    return {name: value for name, value in fields.items() if value is not None}
