"""What to report of an exception that nobody foresaw: its class and position, and never its text.

Its text may repeat what it stumbled over: a header with the key, or a signed address.
"""

from __future__ import annotations

from pathlib import PurePath

__all__ = ["class_and_position"]


def class_and_position(error: BaseException) -> str:
    """Such as ``KeyError at protocol/envelope.py, line 42``: where it was raised."""
    name = type(error).__name__
    trace = error.__traceback__
    if trace is None:
        return name
    while trace.tb_next is not None:
        trace = trace.tb_next
    file = "/".join(PurePath(trace.tb_frame.f_code.co_filename).parts[-2:])
    return f"{name} at {file}, line {trace.tb_lineno}"
