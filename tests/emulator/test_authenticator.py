"""Which keys and tokens the emulator accepts, and with which code it rejects the others."""

from __future__ import annotations

import jwt
import pytest

from kling_effects_async.emulator import Clips, Emulator
from tests.support.emulator_caller import GATEWAY, OFFICIAL, calling

NOW = 1_790_000_000.0
ACCESS_KEY = "some-access-key"
SECRET = "a-secret-that-is-long-enough-for-hs256"


def stock() -> Emulator:
    return Emulator(
        clips=Clips.STOCK,
        wall=lambda: NOW,
        bearer_keys=["some-key"],
        access_keys={ACCESS_KEY: SECRET},
    )


def token(*, secret: str = SECRET, **changes: object) -> str:
    claims = {"iss": ACCESS_KEY, "exp": NOW + 1800, "nbf": NOW - 5} | changes
    signed = jwt.encode({k: v for k, v in claims.items() if v is not None}, secret, "HS256")
    return f"Bearer {signed}"


@pytest.mark.parametrize("authorization", [token(), "Bearer some-key"])
async def test_the_official_path_takes_a_signed_token_and_a_plain_key(authorization: str) -> None:
    async with stock() as emulator, calling(emulator, OFFICIAL, authorization) as caller:
        assert (await caller.submit()).status == 200


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, 1001),
        ("", 1001),
        ("some-key", 1002),
        ("Basic some-key", 1002),
        ("Bearer not.a.token", 1002),
        (token(exp=None), 1002),
        (token(exp="soon"), 1002),
        (token(nbf=NOW + 1), 1003),
        (token(exp=NOW - 1), 1004),
        (token(exp=NOW), 1004),
        ("Bearer another-key", 1002),
        ("Bearer one.dot", 1002),
        (token(iss="someone"), 1000),
        (token(secret=SECRET[::-1]), 1000),
    ],
)
async def test_a_wrong_authorization_has_its_own_code(authorization: str | None, code: int) -> None:
    async with stock() as emulator, calling(emulator, OFFICIAL, authorization) as caller:
        answer = await caller.submit()
        assert (answer.status, answer.json["code"]) == (401, code)
        assert set(answer.json) == {"code", "message", "request_id"}
        assert emulator.ledger.total == 0


async def test_a_rejected_caller_sees_the_service_clock() -> None:
    async with stock() as emulator, calling(emulator, OFFICIAL, token(nbf=NOW + 1)) as caller:
        assert (await caller.submit()).headers["Date"] == "Mon, 21 Sep 2026 14:13:20 GMT"


async def test_the_gateway_takes_no_signed_token() -> None:
    async with stock() as emulator, calling(emulator, GATEWAY, token()) as caller:
        assert (await caller.submit()).json["code"] == 1002


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        ("Bearer another-key", "api key not found"),
        ("Bearer api-key-kling-another", "api key not found"),
        ("Bearer one.dot", "The token was expected to have 3 parts, but got 2"),
    ],
)
async def test_a_wrong_key_is_rejected_in_klings_words(authorization: str, message: str) -> None:
    async with stock() as emulator, calling(emulator, OFFICIAL, authorization) as caller:
        answer = await caller.query("1")
    assert (answer.status, answer.json["code"], answer.json["message"]) == (401, 1002, message)


@pytest.mark.parametrize("method", ["query", "list"])
async def test_reading_needs_a_key_too(method: str) -> None:
    async with stock() as emulator, calling(emulator, GATEWAY, None) as caller:
        answer = await (caller.query("1") if method == "query" else caller.list())
        assert answer.json["code"] == 1001
