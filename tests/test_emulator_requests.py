"""What the emulator lets in: credentials, fields and pictures, as the documents have them."""

from __future__ import annotations

import base64
import io
from typing import Any

import jwt
import pytest
from PIL import Image

from kling_effects_async.emulator import Clips, Emulator, ReplyShape
from tests.emulator_caller import (
    GATEWAY,
    OFFICIAL,
    PICTURE,
    calling,
    dual,
    single,
    with_input,
)

NOW = 1_790_000_000.0
ACCESS_KEY = "some-access-key"
SECRET = "a-secret-that-is-long-enough-for-hs256"


def stock(**options: Any) -> Emulator:
    return Emulator(
        clips=Clips.STOCK, wall=lambda: NOW, access_keys={ACCESS_KEY: SECRET}, **options
    )


def token(*, secret: str = SECRET, **changes: object) -> str:
    claims = {"iss": ACCESS_KEY, "exp": NOW + 1800, "nbf": NOW - 5} | changes
    signed = jwt.encode({k: v for k, v in claims.items() if v is not None}, secret, "HS256")
    return f"Bearer {signed}"


def png(width_px: int, height_px: int) -> str:
    held = io.BytesIO()
    Image.new("RGB", (width_px, height_px)).save(held, "PNG")
    return base64.b64encode(held.getvalue()).decode()


@pytest.mark.parametrize("authorization", [token(), "Bearer emulator-key"])
async def test_the_official_path_takes_a_signed_token_and_a_plain_key(authorization: str) -> None:
    async with stock() as emulator, calling(emulator, OFFICIAL, authorization) as caller:
        assert (await caller.submit()).status == 200


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, 1001),
        ("", 1001),
        ("emulator-key", 1002),
        ("Basic emulator-key", 1002),
        ("Bearer not.a.token", 1002),
        (token(exp=None), 1002),
        (token(exp="soon"), 1002),
        (token(nbf=NOW + 1), 1003),
        (token(exp=NOW - 1), 1004),
        (token(exp=NOW), 1004),
        ("Bearer another-key", 1000),
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


async def test_a_refused_caller_sees_the_service_clock() -> None:
    async with stock() as emulator, calling(emulator, OFFICIAL, token(nbf=NOW + 1)) as caller:
        assert (await caller.submit()).headers["Date"] == "Mon, 21 Sep 2026 14:13:20 GMT"


async def test_the_gateway_takes_no_signed_token() -> None:
    async with stock() as emulator, calling(emulator, GATEWAY, token()) as caller:
        assert (await caller.submit()).json["code"] == 1000


@pytest.mark.parametrize("method", ["query", "list"])
async def test_reading_needs_a_key_too(method: str) -> None:
    async with stock() as emulator, calling(emulator, GATEWAY, None) as caller:
        answer = await (caller.query("1") if method == "query" else caller.list())
        assert answer.json["code"] == 1001


@pytest.mark.parametrize("order", [single(), dual(), with_input(dual(), mode="pro")])
async def test_the_gateway_takes_its_documented_examples(order: object) -> None:
    async with stock() as emulator, calling(emulator) as caller:
        answer = await caller.submit(order)
        assert answer.status == 200
        assert (answer.json["code"], answer.task["task_status"]) == (0, "submitted")


@pytest.mark.parametrize(
    ("order", "field"),
    [
        (single(effect_scene=None), "effect_scene"),
        (single(effect_scene="no_such_scene"), "effect_scene"),
        (single(effect_scene=7), "effect_scene"),
        (single(input=None), "input"),
        (single(input=[]), "input"),
        (single(callback_url=1), "callback_url"),
        (single(external_task_id=["x"]), "external_task_id"),
        (with_input(single(), model_name=None), "input.model_name"),
        (with_input(single(), model_name="kling-v1"), "input.model_name"),
        (with_input(single(), duration=None), "input.duration"),
        (with_input(single(), duration=5), "input.duration"),
        (with_input(single(), duration="10"), "input.duration"),
        (with_input(single(), image=None), "input.image"),
        (with_input(single(), image=""), "input.image"),
        (with_input(single(), image=[PICTURE]), "input.image"),
        (with_input(single(), image="data:image/png;base64," + PICTURE), "input.image"),
        (with_input(single(), image="*not base64*"), "input.image"),
        (with_input(dual(), mode=None), "input.mode"),
        (with_input(dual(), mode="best"), "input.mode"),
        (with_input(dual(), duration="7"), "input.duration"),
        (with_input(dual(), images=None), "input.images"),
        (with_input(dual(), images=PICTURE), "input.images"),
        (with_input(dual(), images=[PICTURE]), "input.images"),
        (with_input(dual(), images=[PICTURE] * 3), "input.images"),
        (with_input(dual(), images=[PICTURE, 3]), "input.images[1]"),
        (with_input(dual(), images=None, image=PICTURE), "input.images"),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_is_accepted(order: object, field: str) -> None:
    async with stock() as emulator, calling(emulator) as caller:
        answer = await caller.submit(order)
        assert (answer.status, answer.json["code"]) == (400, 1201)
        assert field in answer.json["message"]
        assert emulator.ledger.total == 0


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b"[" * 100_000])
async def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    async with stock() as emulator, calling(emulator) as caller:
        answer = await caller.ask("POST", GATEWAY, data=body)
        assert (answer.status, answer.json["code"]) == (400, 1200)


async def test_the_official_path_wants_pictures_only_and_passes_over_the_rest() -> None:
    bare: dict[str, object] = {"effect_scene": "hug_pro", "input": {"images": [PICTURE, PICTURE]}}
    odd = with_input(bare, model_name="kling-v9", duration=99, mode="none")
    async with stock() as emulator, calling(emulator, OFFICIAL) as caller:
        assert (await caller.submit(bare)).status == 200
        assert (await caller.submit(odd)).status == 200


async def test_a_picture_of_more_than_ten_megabytes_is_refused_and_one_of_ten_is_read() -> None:
    largest = base64.b64encode(base64.b64decode(PICTURE).ljust(10 * 2**20, b"\0")).decode()
    larger = base64.b64encode(bytes(10 * 2**20 + 1)).decode()
    async with stock() as emulator, calling(emulator) as caller:
        accepted = await caller.submit(with_input(dual(), images=[largest, largest]))
        refused = await caller.submit(with_input(single(), image=larger))
    assert accepted.status == 200
    assert (refused.status, refused.json["code"]) == (400, 1201)
    assert "10MB" in refused.json["message"]


@pytest.mark.parametrize(
    ("shape", "code"),
    [(ReplyShape.FLAT, 1200), (ReplyShape.WRAPPED, "read_request_body_failed")],
)
async def test_a_body_above_the_cap_is_413(shape: ReplyShape, code: object) -> None:
    async with stock(reply_shape=shape) as emulator, calling(emulator) as caller:
        answer = await caller.ask("POST", GATEWAY, data=io.BytesIO(bytes(33 * 2**20)))
    assert (answer.status, answer.json["code"]) == (413, code)


@pytest.mark.parametrize(
    "image",
    [
        png(299, 400),
        png(300, 751),
        base64.b64encode(b"GIF89a no picture").decode(),
        PICTURE[:64],
    ],
)
async def test_an_unusable_picture_is_accepted_and_fails_afterwards(image: str) -> None:
    """As observed with Kling: the reason is in the task alone, around it all is well."""
    async with stock(speed=1e9) as emulator, calling(emulator) as caller:
        task_id = (await caller.submit(with_input(single(), image=image))).task["task_id"]
        answer = await caller.query(task_id)
        assert emulator.ledger.total == 1
    assert (answer.status, answer.json["code"], answer.json["message"]) == (200, 0, "SUCCEED")
    assert answer.task["task_status"] == "failed"
    assert answer.task["task_status_msg"] == "Image pixel is invalid"
    assert answer.task["task_result"] == {}
    assert answer.task["final_unit_deduction"] == "0"
    assert answer.task["updated_at"] - answer.task["created_at"] == pytest.approx(1700, abs=1)


@pytest.mark.parametrize("image", [png(300, 300), png(300, 750), "https://img.example/a.jpg"])
async def test_a_picture_at_the_limit_or_given_by_address_succeeds(image: str) -> None:
    async with stock(speed=1e9) as emulator, calling(emulator) as caller:
        task_id = (await caller.submit(with_input(single(), image=image))).task["task_id"]
        assert (await caller.query(task_id)).task["task_status"] == "succeed"
