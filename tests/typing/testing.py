"""The same for tests of one's own: the emulator, whose client has the same options, and a clock."""

from __future__ import annotations

from datetime import datetime
from typing import assert_type

from kling_effects_async import EffectsClient, PollPolicy
from kling_effects_async.emulator import (
    CallbackFault,
    CallbackShape,
    Clips,
    Emulator,
    Fault,
    LedgerEntry,
    SentCallback,
)
from kling_effects_async.testing import ManualClock


async def emulated() -> None:
    async with Emulator(speed=600, slots=5, clips=Clips.STOCK) as emulator:
        assert_type(emulator, Emulator)
        assert_type((emulator.url, emulator.api_key), tuple[str, str])
        assert_type(emulator.fail_next(Fault.rate_limited(), times=2), None)
        assert_type((emulator.faults_left, emulator.ledger.total), tuple[int, int])
        assert_type(emulator.ledger.entries, tuple[LedgerEntry, ...])
        emulator.fail_next("rate_limited")  # type: ignore[arg-type]
        assert_type(emulator.client(official=True, poll=PollPolicy()), EffectsClient)
        emulator.client(jurnal="x.db")  # type: ignore[call-arg]
        emulator.client(poll=90)  # type: ignore[arg-type]
        emulator.client(True)  # type: ignore[call-arg]


async def called_back() -> None:
    secrets = ["whsec_c2VjcmV0", "whsec_b2xk"]
    async with Emulator(
        webhook_secret=secrets,
        callback_shape=CallbackShape.NEWER,
        callback_attempts=3,
        callback_retry_s=1.5,
        gateway_task_ids=True,
    ) as emulator:
        emulator.fail_next(CallbackFault.repeated(copies=3, every_s=0.5), times=2)
        emulator.fail_next(CallbackFault.late("5"))  # type: ignore[arg-type]
        assert_type(emulator.use_webhook_secrets(*secrets), None)
        sent = await emulator.send_test_callback("http://127.0.0.1:8080/hook")
        assert_type(sent, SentCallback)
        assert_type((sent.http_status, sent.webhook_id), tuple[int | None, str | None])
        assert_type(emulator.callbacks.entries, tuple[SentCallback, ...])
        assert_type(emulator.callbacks.delivered, int)
        assert_type(emulator.ledger.entries[0].gateway_task_id, str | None)


async def clocks() -> None:
    clock = ManualClock(datetime(2026, 1, 1))
    assert_type(await clock.advance(60), None)
    assert_type(clock.jump(60.0), None)
    assert_type((clock.monotonic(), clock.now()), tuple[float, datetime])
    await clock.advance("60")  # type: ignore[arg-type]
