"""What fails in telemetry is logged and goes no further: a job must not be lost by measuring it.

OpenTelemetry's own code does not raise, but a span processor or an exporter of an application may.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from kling_effects_async.log_fields import log_fields
from kling_effects_async.transport.unforeseen import class_and_position

__all__ = ["harmless", "log_once"]

_log = logging.getLogger(__name__)

P = ParamSpec("P")

_logged: set[str] = set()


def harmless(report: Callable[P, None]) -> Callable[P, None]:
    """The function, whose exceptions are logged, once for each place that raises."""

    @wraps(report)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            report(*args, **kwargs)
        except Exception as fault:  # somebody else's code: the edge where it ends
            log_once(fault)

    return call


def log_once(fault: Exception) -> None:
    """Log it, unless an exception from the same place was logged before."""
    what = class_and_position(fault)
    if what not in _logged:
        _logged.add(what)
        _log.error(
            "telemetry failed, further failures of this kind are not logged: %s",
            what,
            extra=log_fields("telemetry.failed", error=fault),
        )
