"""Telemetry that fails harms no job."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from kling_effects_async import Done, SingleImageEffect, Telemetry
from kling_effects_async.emulator import Emulator, Fault
from tests.conftest import PHOTOS

SQUISH = SingleImageEffect("squish", image=PHOTOS / "cat.jpg")


class Broken(SpanProcessor):
    """Raises at the beginning or at the end of each span."""

    def __init__(self, at: str) -> None:
        self.at = at

    def on_start(self, *_: Any, **__: Any) -> None:
        if self.at == "start":
            raise RuntimeError("no room")

    def on_end(self, span: ReadableSpan) -> None:
        if self.at == "end":
            raise RuntimeError("no room")


class BrokenMeters(NoOpMeterProvider):
    """Its instruments raise at each use."""

    def get_meter(self, *args: Any, **kwargs: Any) -> Any:
        meter = super().get_meter(*args, **kwargs)
        for kind in ("counter", "up_down_counter", "histogram", "gauge"):
            setattr(meter, f"create_{kind}", lambda *_, **__: BrokenInstrument())
        return meter


class BrokenInstrument:
    def add(self, *_: object) -> None:
        raise RuntimeError("no room")

    set = record = add


@pytest.mark.looptime
@pytest.mark.parametrize("broken", ["start", "end", "meters"])
async def test_failing_telemetry_harms_no_job(
    broken: str, emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(Broken(broken))
    meters = BrokenMeters() if broken == "meters" else NoOpMeterProvider()
    telemetry = Telemetry(tracer_provider=tracers, meter_provider=meters)
    emulator.fail_next(Fault.rejected(1302))
    async with emulator.client(telemetry=telemetry) as client:
        run = client.run_many([SQUISH, SQUISH], download_to=tmp_path)
        outcomes = [outcome async for outcome in run]
        left_open = await client.submit(SQUISH)
        emulator.fail_next(Fault.html(503, on="list"))
        await client.list_tasks()
    assert all(isinstance(outcome, Done) for outcome in outcomes)
    assert emulator.ledger.total == len({outcome.external_task_id for outcome in outcomes}) + 1
    assert left_open.task_id
    told = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert {vars(record)["event"] for record in told} <= {"telemetry.failed"}
