"""Signatures of callbacks: with which secrets, over which bytes, and when there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from kling_effects_async.emulator import Emulator, EmulatorError
from kling_effects_async.emulator.callback_signing import signature_headers
from tests.support.callback_inbox import an_inbox
from tests.support.emulator_caller import calling, stock
from tests.support.samples import body_of, samples

# The test vector of Kling's callbacks page, 2026-09.
VECTOR = samples("callbacks")["signed-vector"]
(SECRET,) = VECTOR["signature"]["secrets"]
OLD, NEW = "whsec_b2xkIHNlY3JldA==", "whsec_bmV3IHNlY3JldA=="


def fits(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    try:
        Webhook(secret).verify(body, dict(headers))
    except WebhookVerificationError:
        return False
    return True


def test_the_signature_is_that_of_the_documented_vector() -> None:
    sent = {name.lower(): value for name, value in VECTOR["callback"]["headers"].items()}
    headers = signature_headers(
        [SECRET], sent["webhook-id"], VECTOR["signature"]["now_s"], body_of(VECTOR["callback"])
    )
    assert headers == {name: value for name, value in sent.items() if name in headers}
    assert len(headers) == 3


async def test_a_message_is_signed_when_there_is_a_secret() -> None:
    """Fault 59: a forged body has no signature that fits it."""
    async with (
        an_inbox() as inbox,
        stock(speed=1e6, webhook_secret=SECRET) as emulator,
        calling(emulator) as caller,
    ):
        await caller.submit(callback_url=inbox.url)
        await inbox.wait_for(2)
    for headers, body in zip(inbox.headers, inbox.bodies, strict=True):
        assert fits(SECRET, headers, body)
        assert not fits(SECRET, headers, body.replace(b"process", b"succeed") + b" ")
    assert len({headers["webhook-id"] for headers in inbox.headers}) == 2


async def test_a_message_is_not_signed_without_a_secret() -> None:
    async with (
        an_inbox() as inbox,
        stock(speed=1e6) as emulator,
        calling(emulator) as caller,
    ):
        await caller.submit(callback_url=inbox.url)
        await inbox.wait_for(2)
    assert not any(name.startswith("webhook") for name in inbox.headers[0])


@pytest.mark.looptime
async def test_a_rotation_signs_with_both_secrets_and_then_with_the_new_one() -> None:
    async with (
        an_inbox() as inbox,
        stock(webhook_secret=OLD) as emulator,
        calling(emulator) as caller,
    ):
        fit = []
        for secrets in ((OLD,), (NEW, OLD), (NEW,), ()):
            await caller.submit(callback_url=inbox.url)  # it is under way when they change
            emulator.use_webhook_secrets(*secrets)
            await asyncio.sleep(3600)
            headers, body = inbox.headers[-1], inbox.bodies[-1]
            fit.append([fits(secret, headers, body) for secret in (OLD, NEW)])
            assert len(headers.get("webhook-signature", "").split()) == len(secrets)
    assert fit == [[True, False], [True, True], [False, True], [False, False]]
    assert "webhook-id" not in inbox.headers[-1]


@pytest.mark.looptime
async def test_the_next_start_signs_with_the_secrets_of_the_settings_again() -> None:
    emulator = stock(webhook_secret=[NEW, OLD])
    async with an_inbox() as inbox:
        async with emulator:
            emulator.use_webhook_secrets()
            await emulator.send_test_callback(inbox.url)
        async with emulator:
            await emulator.send_test_callback(inbox.url)
    assert "webhook-signature" not in inbox.headers[0]
    assert fits(OLD, inbox.headers[1], inbox.bodies[1])
    assert fits(NEW, inbox.headers[1], inbox.bodies[1])


async def test_a_secret_that_is_none_is_rejected_and_not_repeated() -> None:
    async with stock() as emulator:
        for wrong in ("whsec_", "whsec_no base64", ""):
            with pytest.raises(ValueError, match=r"^webhook_secret must be whsec_") as error:
                emulator.use_webhook_secrets(NEW, wrong)
            assert NEW not in str(error.value)


@pytest.mark.parametrize("secrets", [b"whsec_c2VjcmV0", 5, [NEW, None], (NEW, b"x")])
def test_secrets_of_a_wrong_type_are_named(secrets: Any) -> None:
    with pytest.raises(TypeError, match=r"^webhook_secret must be a str"):
        Emulator(webhook_secret=secrets)


def test_secrets_are_not_shown() -> None:
    assert NEW not in repr(Emulator(webhook_secret=[NEW, OLD]).settings)


def test_an_emulator_that_does_not_run_signs_nothing() -> None:
    with pytest.raises(EmulatorError, match="async with"):
        stock().use_webhook_secrets(NEW)
