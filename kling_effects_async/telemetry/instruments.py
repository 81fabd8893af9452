"""The metrics, by name; ``docs/monitoring.md`` has the same table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, Meter, UpDownCounter
    from opentelemetry.metrics import _Gauge as Gauge  # the API has no public name for it

__all__ = ["Instruments"]

# Tasks take minutes; the buckets that the conventions advise end at 82 s.
_DURATIONS_S = (5, 10, 20, 40, 60, 90, 120, 180, 240, 300, 450, 600, 900, 1800, 3600)
_LAGS_S = (0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 30, 60, 120, 300)


class Instruments:
    """Shared by all clients of one meter."""

    def __init__(self, meter: Meter) -> None:
        self.duration: Histogram = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "From the first request for a task until its end, or its rejection, was known.",
            explicit_bucket_boundaries_advisory=_DURATIONS_S,
        )
        self.lag: Histogram = meter.create_histogram(
            "kling.task.detection_lag",
            "s",
            "From the end of a task, by the service's clock, until it was known here.",
            explicit_bucket_boundaries_advisory=_LAGS_S,
        )
        self.tasks: Counter = meter.create_counter(
            "kling.tasks", "{task}", "Submits and tasks that came to an end, by outcome."
        )
        self.running: UpDownCounter = meter.create_up_down_counter(
            "kling.tasks.running", "{task}", "Tasks that are accepted and have not ended."
        )
        self.slots: Gauge = meter.create_gauge(
            "kling.slots", "{slot}", "How many tasks the account may run at once, as far as known."
        )
        self.polls: Counter = meter.create_counter(
            "kling.polls", "{request}", "Requests for the state of tasks, by kind."
        )
        self.rejections: Counter = meter.create_counter(
            "kling.rejections", "{request}", "Submits that the service rejected, by code."
        )
        self.retries: Counter = meter.create_counter(
            "kling.retries", "{request}", "Requests that were sent again, by what failed before."
        )
        self.downloaded: Counter = meter.create_counter(
            "kling.download.bytes", "By", "Bytes of clips that came."
        )
