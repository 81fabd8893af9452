"""Telemetry that keeps in memory what it is told, with OpenTelemetry's own SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    Histogram,
    HistogramDataPoint,
    InMemoryMetricReader,
    Sum,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from kling_effects_async import Telemetry

__all__ = ["Recorded"]

# They are on every span and metric, and are tested once.
_COMMON = {
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.output.type",
    "gen_ai.response.id",
    "kling.account",
    "kling.effect_scene",
}


class Recorded:
    """Providers with exporters that keep everything, and the telemetry that uses them.

    Attributes:
        telemetry: to be passed to clients.
        tracer: for spans of the caller.
    """

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self._kinds: dict[str, str] = {}
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.tracer: Tracer = tracers.get_tracer("a caller")
        self.telemetry: Telemetry = Telemetry(tracer_provider=tracers, meter_provider=meters)

    @property
    def spans(self) -> list[ReadableSpan]:
        """Those that have ended, in the order of their ends."""
        return list(self._exporter.get_finished_spans())

    @property
    def tasks(self) -> list[ReadableSpan]:
        """The spans of tasks among them."""
        return [span for span in self.spans if span.name.startswith("generate_content")]

    @property
    def everything(self) -> str:
        """All that an exporter could send, as a text."""
        return f"{[span.to_json() for span in self.spans]} {self.all()}"

    def all(self) -> list[tuple[str, str, dict[str, Any], Any]]:
        """Every point: metric, unit, attributes, and value, or count and sum of a histogram."""
        data = self._reader.get_metrics_data()
        if data is None:
            return []
        metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
        self._kinds = {metric.name: _kind(metric.data) for metric in metrics}
        return [
            (metric.name, metric.unit or "", dict(point.attributes or {}), _value(point))
            for metric in metrics
            for point in metric.data.data_points
        ]

    def kind(self, name: str) -> str:
        """What kind of metric it is, in the words of the docs; after ``all``."""
        return self._kinds[name]

    def metric(self, name: str) -> dict[tuple[str, ...], Any]:
        """The values of a metric by its own attributes, in the order of their names."""
        return {own(given): value for each, _unit, given, value in self.all() if each == name}


def own(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """The values of the attributes that not every metric has."""
    return tuple(str(attributes[name]) for name in sorted(attributes) if name not in _COMMON)


def _kind(data: Any) -> str:
    if isinstance(data, Sum):
        return "counter" if data.is_monotonic else "up-down counter"
    return "histogram" if isinstance(data, Histogram) else "gauge"


def _value(point: Any) -> Any:
    is_histogram = isinstance(point, HistogramDataPoint)
    return (point.count, point.sum) if is_histogram else point.value
