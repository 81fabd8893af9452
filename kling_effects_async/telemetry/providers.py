"""``Telemetry``: what an application passes to its clients to see them in its monitoring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kling_effects_async.errors import SettingsError
from kling_effects_async.observer import Observer

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from kling_effects_async.transport.clock import Clock

__all__ = ["Telemetry"]

_SCOPE = "kling_effects_async"
# The release of OpenTelemetry's semantic conventions whose names for generative AI are used.
_SCHEMA = "https://opentelemetry.io/schemas/1.37.0"


class Telemetry:
    """Traces and metrics of the clients that it is passed to, through OpenTelemetry.

    ::

        async with EffectsClient.from_env(telemetry=Telemetry()) as client: ...

    Each task has a span, from its submit until its end, below the span that is current at the
    submit; ``docs/monitoring.md`` lists spans, events and metrics. Neither holds a key, a picture,
    a message of an image's error, or an address. OpenTelemetry is imported here and nowhere else:
    a client without ``telemetry`` costs nothing. One instance serves any number of clients.

    Args:
        tracer_provider: makes the spans; by default the global one, which may be set later.
        meter_provider: makes the instruments; by default the global one.

    Raises:
        SettingsError: ``opentelemetry-api`` is not installed; the message names the extra.

    Source: OpenTelemetry's semantic conventions for generative AI, 1.37 (status: development); the
    names are the same in their own repository, semantic-conventions-genai, seen 2026-11.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        try:
            from opentelemetry import metrics, trace
        except ImportError as error:
            raise SettingsError(
                'Telemetry needs opentelemetry-api: pip install "kling-effects-async[otel]"'
            ) from error
        from kling_effects_async.telemetry.instruments import Instruments

        self._tracer = trace.get_tracer(_SCOPE, None, tracer_provider, _SCHEMA)
        meter = metrics.get_meter(_SCOPE, "", meter_provider, _SCHEMA)
        self._instruments = Instruments(meter)

    def observer(self, account: str, clock: Clock) -> Observer:
        """What one open client reports to; for the client.

        Args:
            account: the account's name in the journal.
            clock: the client's.
        """
        from kling_effects_async.telemetry.observing import TelemetryObserver

        return TelemetryObserver(self._tracer, self._instruments, account, clock)
