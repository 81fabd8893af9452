"""What the emulator accepts of a submit: its fields and pictures, as the documents have them."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from PIL import Image

from kling_effects_async import BearerToken, DualImageEffect, EffectsClient, PollPolicy, Service
from kling_effects_async.emulator import Emulator, ReplyShape
from tests.support.emulator_caller import (
    GATEWAY,
    OFFICIAL,
    PICTURE,
    calling,
    dual,
    single,
    stock,
    with_input,
)

NOT_BASE64 = "File is not in a valid base64 format"


def png(width_px: int, height_px: int) -> str:
    held = io.BytesIO()
    Image.new("RGB", (width_px, height_px)).save(held, "PNG")
    return base64.b64encode(held.getvalue()).decode()


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
        (single() | {"callback_url": None}, "callback_url"),
        (single() | {"external_task_id": None}, "external_task_id"),
        (single(external_task_id=["x"]), "external_task_id"),
        (single(external_task_id=7), "external_task_id"),
        (single(external_task_id="half a pair \ud800"), "external_task_id"),
        (single(callback_url="https://cb.example/\ud800"), "callback_url"),
        (single(effect_scene="squish\ud800"), "effect_scene"),
        (with_input(single(), model_name="\ud800"), "input.model_name"),
        (with_input(single(), image="https://img.example/\ud800"), "input.image"),
        (with_input(single(), model_name=None), "input.model_name"),
        (with_input(single(), model_name="kling-v1"), "input.model_name"),
        (with_input(single(), duration=None), "input.duration"),
        (with_input(single(), duration=5), "input.duration"),
        (with_input(single(), duration="10"), "input.duration"),
        (with_input(single(), image=None), "input.image"),
        (with_input(single(), image=""), "input.image"),
        (with_input(single(), image=[PICTURE]), "input.image"),
        (with_input(single(), image="data:image/png;base64," + PICTURE), NOT_BASE64),
        (with_input(single(), image="*not base64*"), NOT_BASE64),
        (with_input(dual(), images=[PICTURE, PICTURE[:-1]]), NOT_BASE64),
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


TEXT = json.dumps(single())


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"\xff\xfe", b"[]", b"null", b"[" * 100_000, b'{"a":' * 50_000),
        *(b"\xef\xbb\xbf" + TEXT.encode(), TEXT.encode("utf-16"), TEXT.encode("utf-32-le")),
        *(json.dumps(single(extra=number)).encode() for number in (math.nan, math.inf, -math.inf)),
        b'{"extra":' + b"9" * 6000 + b"," + TEXT[1:].encode(),
        b'{"effect_scene":"expansion",' + TEXT[1:].encode(),
        TEXT.replace('"input": {', '"input": {"image": "AAAA", ').encode(),
        TEXT.encode() * 2,
    ],
    ids=lambda body: str(body[:24]),
)
@pytest.mark.parametrize("path", [GATEWAY, OFFICIAL])
async def test_a_body_that_parsers_could_read_differently_is_rejected(
    body: bytes, path: str
) -> None:
    async with stock() as emulator, calling(emulator, path) as caller:
        answer = await caller.post(body)
        assert (answer.status, answer.json["code"]) == (400, 1200)
        assert emulator.ledger.total == 0


@pytest.mark.parametrize(
    "kind", ["text/plain", "text/plain; charset=utf-8", "application/octet-stream", "", "json"]
)
async def test_a_body_that_is_not_declared_as_json_is_rejected(kind: str) -> None:
    async with stock() as emulator, calling(emulator) as caller:
        answer = await caller.post(TEXT.encode(), **{"Content-Type": kind})
        assert (answer.status, answer.json["code"]) == (415, 1200)
        assert emulator.ledger.total == 0


async def test_a_body_without_a_content_type_is_rejected() -> None:
    async with stock() as emulator, calling(emulator) as caller:
        answer = await caller.send(
            "POST", GATEWAY, data=TEXT.encode(), skip_auto_headers=["Content-Type"]
        )
        assert (answer.status, emulator.ledger.total) == (415, 0)


@pytest.mark.parametrize(
    "kind", ["application/json; charset=UTF-8", "Application/JSON", "application/hal+json"]
)
async def test_a_body_may_be_declared_as_json_in_other_ways(kind: str) -> None:
    async with stock() as emulator, calling(emulator) as caller:
        assert (await caller.post(TEXT.encode(), **{"Content-Type": kind})).status == 200


@pytest.mark.parametrize(
    "url",
    [
        *("not an address", "cb.example/hook", "/hook", "ftp://cb.example/hook", "mailto:a@b"),
        *("https://", "https:///hook", "http://:80/hook", "https://cb.example:99999/hook"),
        *("https://cb example/hook", " https://cb.example", "https://cb.example/a\nb"),
        *("https://[::1/hook", "https://cb.example:0/", "javascript:alert(1)", "https:cb.example"),
    ],
)
async def test_a_callback_address_that_is_none_is_rejected_and_not_repeated(url: str) -> None:
    async with stock() as emulator, calling(emulator) as caller:
        answer = await caller.submit(callback_url=url)
        assert (answer.status, answer.json["code"]) == (400, 1201)
        assert "callback_url" in answer.json["message"]
        assert url not in answer.json["message"]
        assert emulator.ledger.total == 0


@pytest.mark.parametrize("url", ["https://cb.example/hook?a=b#c", "http://[::1]:8080", ""])
async def test_a_callback_address_or_none_at_all_is_taken(url: str) -> None:
    """Kling's own pages send an empty text for none."""
    async with stock() as emulator, calling(emulator) as caller:
        assert (await caller.submit(callback_url=url)).status == 200


@pytest.mark.parametrize("path", [GATEWAY, OFFICIAL])
async def test_a_curly_apostrophe_names_the_same_scene(path: str) -> None:
    async with stock() as emulator, calling(emulator, path) as caller:
        for scene in ("let's_ride", "let\N{RIGHT SINGLE QUOTATION MARK}s_ride"):
            assert (await caller.submit(effect_scene=scene)).status == 200
        assert {entry.effect_scene for entry in emulator.ledger.entries} == {"let's_ride"}


async def test_scenes_that_kling_has_retired_may_be_rejected() -> None:
    listed = single(effect_scene="net_the_fish")
    async with stock(retired_scenes="reject") as emulator, calling(emulator) as caller:
        assert (await caller.submit(listed)).status == 200
        for order, scene in ((dual(), "hug"), (single(), "squish")):
            answer = await caller.submit(order)
            assert (answer.status, answer.json["code"]) == (400, 1201)
            assert answer.json["message"] == f"effect_scene value '{scene}' is invalid"
        assert emulator.ledger.total == 1


BARE: dict[str, object] = {"effect_scene": "hug", "input": {"images": [PICTURE, PICTURE]}}


async def test_a_gateway_may_take_submits_without_its_model_fields() -> None:
    async with stock(requires_model_fields=False) as emulator, calling(emulator) as caller:
        assert (await caller.submit(BARE)).status == 200
        assert (await caller.submit(dual())).status == 200
        wrong = await caller.submit(with_input(BARE, duration="7"))
        null = await caller.submit(BARE | {"input": {"images": [PICTURE] * 2, "mode": None}})
        assert emulator.ledger.total == 2
    assert "input.duration" in wrong.json["message"]
    assert "input.mode" in null.json["message"]


async def test_a_gateway_without_model_fields_serves_a_client_that_sends_none(cat: Path) -> None:
    async with stock(requires_model_fields=False, speed=1e6) as emulator:
        emulator_url = emulator.url
        service = Service.gateway(emulator_url, sends_defaults=False)
        quick = PollPolicy(shortest_s=0.05)
        key = BearerToken(emulator.api_key)
        async with EffectsClient(key, service=service, poll=quick) as client:
            result = await client.run(DualImageEffect("hug", left=cat, right=cat))
    assert result.video.url.startswith(emulator_url)


@asynccontextmanager
async def half_sent(emulator: Emulator, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """So many submits of 9 MB that never come to their end."""
    head = f"POST {GATEWAY} HTTP/1.1\r\nHost: localhost\r\n"
    keyed = head + f"Authorization: Bearer {emulator.api_key}\r\n"
    typed = keyed + "Content-Type: application/json\r\nContent-Length: 9000000\r\n\r\n{"
    port = int(emulator.url.rpartition(":")[2])
    pipes = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    for _, writer in pipes:
        writer.write(typed.encode())
    try:
        yield [reader for reader, _ in pipes]
    finally:
        for _, writer in pipes:
            writer.close()


async def test_slow_senders_of_large_bodies_do_not_delay_small_ones() -> None:
    """Fault 95."""
    async with stock() as emulator, calling(emulator) as caller, half_sent(emulator, 40):
        by_address = with_input(single(), image="https://img.example/a.jpg")
        assert (await caller.submit(by_address)).status == 200


@pytest.mark.looptime
async def test_large_bodies_share_slots_and_a_slow_sender_loses_its_own() -> None:
    """Fault 95: 16 are read at a time, each for two minutes at most."""
    async with stock() as emulator, calling(emulator) as caller, half_sent(emulator, 16) as slow:
        while (await caller.send("GET", "/_emulator/requests")).json.get("submit") != 16:
            pass
        large = with_input(single(), image=base64.b64encode(bytes(2**20)).decode())
        before_s = asyncio.get_running_loop().time()
        assert (await caller.submit(large)).status == 200
        assert asyncio.get_running_loop().time() - before_s >= 119
        assert (await slow[0].readline()).startswith(b"HTTP/1.1 408 ")
        assert emulator.ledger.total == 1


async def test_the_official_path_needs_pictures_and_ignores_the_rest() -> None:
    bare: dict[str, object] = {"effect_scene": "hug_pro", "input": {"images": [PICTURE, PICTURE]}}
    odd = with_input(bare, model_name="kling-v9", duration=99, mode="none")
    async with stock() as emulator, calling(emulator, OFFICIAL) as caller:
        assert (await caller.submit(bare)).status == 200
        assert (await caller.submit(odd)).status == 200


async def test_a_picture_of_more_than_ten_megabytes_is_rejected() -> None:
    largest = base64.b64encode(base64.b64decode(PICTURE).ljust(10 * 2**20, b"\0")).decode()
    larger = base64.b64encode(bytes(10 * 2**20 + 1)).decode()
    async with stock() as emulator, calling(emulator) as caller:
        accepted = await caller.submit(with_input(dual(), images=[largest, largest]))
        rejected = await caller.submit(with_input(single(), image=larger))
    assert accepted.status == 200
    assert (rejected.status, rejected.json["code"]) == (400, 1201)
    assert "10MB" in rejected.json["message"]


@pytest.mark.parametrize(
    ("shape", "code"),
    [(ReplyShape.FLAT, 1200), (ReplyShape.WRAPPED, "read_request_body_failed")],
)
async def test_a_body_above_the_cap_is_413(shape: ReplyShape, code: object) -> None:
    async with stock(reply_shape=shape) as emulator, calling(emulator) as caller:
        answer = await caller.post(bytes(33 * 2**20))
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
