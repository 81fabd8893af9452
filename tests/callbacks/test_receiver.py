"""What a receiver answers, and what it never tells."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import asdict
from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async import (
    CallbackAnswer,
    CallbackMessage,
    CallbackReceiver,
    CallbackStats,
    CallbackVerdict,
    SettingsError,
    TaskStatus,
)
from kling_effects_async.callbacks.seen_ids import SeenIds
from kling_effects_async.testing import ManualClock
from tests.support.callbacks import OTHER_SECRET, SECRET, body_of, new_body_of, signed

URL = "https://bot.example/kling"
TOKEN = "MARKTOKEN-0123456789_abc"
NOW = datetime(2026, 9, 1, tzinfo=UTC)
KIB = 1024


class Desk:
    """A receiver with one subscriber, who keeps what comes and knows some tasks."""

    def __init__(self, *secrets: str) -> None:
        self.clock = ManualClock(NOW)
        self.receiver = CallbackReceiver(URL, secrets, clock=self.clock)
        self.messages: list[CallbackMessage] = []
        self.known = {"t1"}
        self.unsubscribe = self.receiver.subscribe(TOKEN, self.take)

    def take(self, message: CallbackMessage) -> bool:
        self.messages.append(message)
        return message.snapshot.task_id in self.known

    async def send(
        self,
        body: bytes | AsyncIterator[bytes],
        headers: dict[str, str] | None = None,
        path: str = f"/kling/{TOKEN}",
    ) -> CallbackAnswer:
        return await self.receiver.receive(headers or {}, body, path=path)

    @property
    def counts(self) -> dict[str, int]:
        return {name: count for name, count in asdict(self.receiver.stats).items() if count}


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@pytest.mark.parametrize(
    "body", [body_of("t1", name="order-42"), new_body_of("t1", name="order-42")]
)
async def test_both_forms_are_read_and_handed_over(body: bytes) -> None:
    desk = Desk(SECRET)
    answer = await desk.send(body, signed(body, at=NOW))
    (message,) = desk.messages
    assert answer == CallbackAnswer(status=200, reason="taken")
    assert message.is_signed
    assert message.snapshot.status is TaskStatus.SUCCEEDED
    assert (message.snapshot.task_id, message.snapshot.external_task_id) == ("t1", "order-42")
    assert message.snapshot.videos[0].url.endswith("callback.mp4")
    assert desk.counts == {"signed": 1}


async def test_the_answer_is_the_same_whoever_sent_it_and_whatever_is_known() -> None:
    """Faults 59, 60: a stranger learns nothing about tasks or secrets."""
    desk = Desk(SECRET)
    good, bad = body_of("t1"), body_of("stranger's")
    answers = {
        await desk.send(good, signed(good, at=NOW)),
        await desk.send(good, signed(good, at=NOW, secret=OTHER_SECRET)),
        await desk.send(good, signed(good, at=NOW - timedelta(hours=1))),
        await desk.send(good),
        await desk.send(bad, signed(bad, at=NOW, message_id="msg-2")),
        await desk.send(bad),
    }
    assert answers == {CallbackAnswer(status=200, reason="taken")}
    assert [message.verdict for message in desk.messages] == [
        CallbackVerdict.SIGNED,
        CallbackVerdict.WRONG,
        CallbackVerdict.STALE,
        CallbackVerdict.UNSIGNED,
        CallbackVerdict.SIGNED,
        CallbackVerdict.UNSIGNED,
    ]
    assert desk.counts == {
        "signed": 2,
        "wrong_signature": 1,
        "stale": 1,
        "unsigned": 2,
        "unknown": 2,
    }


async def test_a_message_that_is_sent_twice_is_taken_once() -> None:
    """Fault 60: by its id, and only of signed ones, or a forged one could come before it."""
    desk = Desk(SECRET)
    body = body_of("t1")
    await desk.send(body, {"webhook-id": "msg-1"})
    for _ in range(3):
        assert (await desk.send(body, signed(body, at=NOW))).status == 200
    assert [message.is_signed for message in desk.messages] == [False, True]
    assert desk.counts == {"unsigned": 1, "signed": 3, "duplicates": 2}


def test_no_more_ids_are_kept_than_ten_thousand() -> None:
    """Fault 62: memory is bounded."""
    seen = SeenIds()
    assert all(seen.is_new(str(number)) for number in range(10_000))
    assert not seen.is_new("0")  # and so it is among the last
    assert seen.is_new("10000")
    assert len(seen) == 10_000
    assert not seen.is_new("0")
    assert seen.is_new("1")  # forgotten, and harmless all the same


@pytest.mark.parametrize(
    "path", ["/kling", "/kling/", "/", "", f"/kling/{TOKEN}x", "/kling/\udc80", f"/{TOKEN}/a"]
)
async def test_a_stranger_is_answered_without_any_work(path: str) -> None:
    """Faults 59, 62: without the secret part of the path no body is read."""
    desk = Desk(SECRET)
    assert (await desk.send(unread(), path=path)).status == 404
    assert desk.counts == {"not_found": 1}


async def test_after_the_subscription_has_ended_the_path_is_unknown() -> None:
    desk = Desk()
    other = desk.receiver.subscribe("other", lambda message: True)
    desk.unsubscribe()
    assert (await desk.send(body_of("t1"))).status == 404
    assert (await desk.send(body_of("t1"), path="/other")).status == 200
    again = desk.receiver.subscribe(TOKEN, desk.take)
    desk.unsubscribe()  # that of before
    assert (await desk.send(body_of("t1"))).status == 200
    again()
    other()
    assert (await desk.send(body_of("t1"))).status == 404


async def test_a_body_of_64_kib_is_taken_and_no_more_is_read_of_a_larger_one() -> None:
    """Fault 62: a body without an end, too."""
    desk = Desk()
    body = body_of("t1")
    padded = body + b" " * (64 * KIB - len(body))
    assert (await desk.send(padded)).status == 200
    assert (await desk.send(padded + b" ")).status == 413
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += KIB
            yield b" " * KIB

    assert (await desk.send(endless())).status == 413
    assert read == 65 * KIB
    stated = {"Content-Length": str(64 * KIB + 1)}
    assert (await desk.send(endless(), stated)).status == 413
    assert read == 65 * KIB
    assert desk.counts == {"unsigned": 1, "too_large": 3}


@pytest.mark.parametrize("length", ["", "x", "-1", "\u00b2", "9" * 5000, "1e9"])
async def test_a_stated_length_that_is_none_harms_nothing(length: str) -> None:
    desk = Desk()
    answer = await desk.send(body_of("t1"), {"content-length": length})
    assert answer.status == (413 if length.startswith("9") else 200)


@pytest.mark.looptime
async def test_a_sender_who_is_slow_is_left_after_five_seconds() -> None:
    """Fault 62: a body that trickles in."""
    desk = Desk()

    async def trickling() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(1)
            yield b" "

    loop = asyncio.get_running_loop()
    began_at = loop.time()
    assert (await desk.send(trickling())).status == 408
    assert loop.time() - began_at == pytest.approx(5)
    assert desk.counts == {"incomplete": 1}


async def test_a_body_that_is_cut_off_is_no_callback() -> None:
    """Fault 62: frameworks raise errors of their own then."""
    desk = Desk()

    async def cut() -> AsyncIterator[bytes]:
        yield b"{"
        raise ConnectionResetError

    assert (await desk.send(cut())).status == 400
    assert desk.counts == {"incomplete": 1}


@pytest.mark.looptime
async def test_no_more_than_64_bodies_are_read_at_once() -> None:
    """Fault 62: a flood of slow senders who know the path."""
    desk = Desk()

    async def hung() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    sending = [asyncio.ensure_future(desk.send(hung())) for _ in range(64)]
    await asyncio.sleep(1)
    assert (await desk.send(body_of("t1"))).status == 429
    assert {answer.status for answer in await asyncio.gather(*sending)} == {408}
    assert (await desk.send(body_of("t1"))).status == 200
    assert desk.counts == {"incomplete": 64, "rate_limited": 1, "unsigned": 1}


async def test_a_flood_is_rejected_until_it_is_over() -> None:
    """Fault 62: two thousand at once, then four hundred a second, and each client its own."""
    desk = Desk()
    desk.receiver.subscribe("other", lambda message: True)
    statuses = [(await desk.send(body_of("t1"))).status for _ in range(2100)]
    assert statuses == [200] * 2000 + [429] * 100
    assert (await desk.send(body_of("t1"), path="/other")).status == 200
    desk.clock.jump(1)
    statuses = [(await desk.send(body_of("t1"))).status for _ in range(500)]
    assert statuses == [200] * 400 + [429] * 100
    assert desk.receiver.stats.rate_limited == 200


async def unread() -> AsyncIterator[bytes]:
    raise AssertionError("read")
    yield b""


async def test_what_is_rightly_signed_is_taken_in_the_middle_of_a_flood() -> None:
    """Fault 62: who knows the address, and has no secret, holds up no end."""
    desk, body = Desk(SECRET), body_of("t1")
    headers = signed(body, at=NOW)
    for _ in range(2000):
        assert (await desk.send(body, signed(body, at=NOW, secret=OTHER_SECRET))).status == 200
    for forged in (
        {},
        {**headers, "webhook-timestamp": "1"},  # an old one
        {**headers, "webhook-signature": ""},
        {"webhook-signature": headers["webhook-signature"]},
    ):
        assert (await desk.send(unread(), forged)).status == 429
    wrong = signed(body, at=NOW, secret=OTHER_SECRET)
    assert (await desk.send(body, wrong)).status == 429
    assert (await desk.send(b"{" * 65 * KIB, wrong)).status == 413
    assert not any(message.is_signed for message in desk.messages)
    assert (await desk.send(body, headers)).status == 200
    assert desk.messages[-1].is_signed
    expected = {"wrong_signature": 2000, "rate_limited": 5, "too_large": 1, "signed": 1}
    assert desk.counts == expected


async def test_without_a_secret_a_flood_leaves_no_body_to_be_read() -> None:
    """Fault 62: a signature that cannot be checked is none."""
    desk, body = Desk(), body_of("t1")
    for _ in range(2000):
        await desk.send(body)
    assert (await desk.send(unread(), signed(body, at=NOW))).status == 429


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"NaN",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"1" * 60_000,
        b'{"task_id": null, "task_status": "succeed"}',
        b'{"task_status": "succeed"}',
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_what_is_no_callback_is_answered_with_400(body: bytes) -> None:
    """Fault 59: nothing is raised, however deep or large it is."""
    desk = Desk(SECRET)
    assert (await desk.send(body, {"webhook-signature": "v1,AAAA"})).status == 400
    assert desk.counts == {"malformed": 1}
    assert desk.messages == []


MEMBERS = st.sampled_from(
    "task_id id task_status status task_info external_task_id task_result videos url outputs data "
    "created_at updated_at create_time update_time billing code message".split()
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=4),
    max_leaves=12,
)


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


@given(
    headers=st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "Webhook-Signature", "content-length"])
        | st.text(max_size=5),
        st.text(max_size=40) | st.text(alphabet="v1,= 0", max_size=40),
        max_size=5,
    ),
    body=st.binary(max_size=80)
    | st.builds(encoded, JSON)
    | st.builds(encoded, st.dictionaries(MEMBERS, JSON)),
    chunked=st.booleans(),
    path=st.sampled_from([f"/{TOKEN}", TOKEN]) | st.text(max_size=10),
)
def test_nothing_but_the_small_answer_comes_out(
    headers: dict[str, str], body: bytes, chunked: bool, path: str
) -> None:
    """Fault 59: forged headers, bodies and paths of every kind."""

    async def sent() -> tuple[Desk, CallbackAnswer]:
        desk = Desk(SECRET)
        return desk, await desk.send(pieces(body) if chunked else body, headers, path)

    desk, answer = asyncio.run(sent())
    assert answer.status in (200, 400, 404, 413)
    assert not any(message.is_signed for message in desk.messages)
    assert sum(desk.counts.values()) == 1 + desk.receiver.stats.unknown


async def test_a_fault_of_the_subscriber_is_logged_by_its_class_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()

    def fails(message: CallbackMessage) -> bool:
        raise LookupError(message.snapshot.videos[0].url)

    desk.receiver.subscribe(TOKEN, fails)
    assert (await desk.send(body_of("t1"))).status == 200
    assert caplog.messages == ["a callback could not be applied: LookupError"]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


async def test_each_kind_of_failure_is_one_line_of_the_log(
    logged: pytest.LogCaptureFixture,
) -> None:
    """Fault 62: a flood does not fill the log, and no secret is in it."""
    desk = Desk(SECRET)
    body = body_of("t1")
    for _ in range(5):
        await desk.send(body, signed(body, secret=OTHER_SECRET, at=NOW))
        await desk.send(body, signed(body, at=NOW - timedelta(hours=1)))
        await desk.send(b"{}")
        await desk.send(b"", path="/kling/guess")
    assert len(logged.messages) == 3
    shown = " ".join([*logged.messages, repr(desk.receiver), repr(desk.receiver.stats)])
    assert "MARKTOKEN" not in shown
    assert SECRET[6:] not in shown
    assert "callback.mp4" not in shown


async def test_a_message_without_a_signature_is_odd_only_where_one_could_be_checked(
    logged: pytest.LogCaptureFixture,
) -> None:
    """Headers that a proxy drops leave a receiver with secrets no better than one without."""
    for desk in (Desk(), Desk(SECRET)):
        for _ in range(3):
            await desk.send(body_of("t1"))
        assert desk.counts == {"unsigned": 3}
    (record,) = logged.records
    assert (vars(record)["event"], vars(record)["kind"]) == ("callback.counted", "unsigned")
    assert record.getMessage().startswith("a callback has no signature, though this receiver has")


@pytest.mark.parametrize(
    ("public_url", "says"),
    [
        ("bot.example/kling", "http:// or https://"),
        ("https://", "names no host"),
        ("https://bot.example/kling?key=MARKKEY", "leave out what begins with"),
        ("https://bot.example/#a", "leave out what begins with"),
        ("https://bot.example/a b", "percent-encode"),
        ("https://MARKUSER:MARKKEY@bot.example/k", "leave out what stands before the @"),
        ("https://MARKUSER:MARKKEY@MARKKEY@bot.example/k", "leave out what stands before the @"),
        ("https://MARKKEY@bot.example", "leave out what stands before the @"),
        ("https://@bot.example/k", "leave out what stands before the @"),
    ],
)
def test_what_is_no_public_address_is_rejected(public_url: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        CallbackReceiver(public_url)
    assert "MARK" not in str(caught.value)


def test_an_at_sign_in_the_path_is_no_user() -> None:
    assert CallbackReceiver("https://bot.example/@kling").public_url == "https://bot.example/@kling"


def test_a_public_address_loses_its_slash_and_its_white_space() -> None:
    assert CallbackReceiver(f" {URL}/ ").public_url == URL
    assert CallbackReceiver("HTTPS://bot.example").public_url == "https://bot.example"
    with pytest.raises(TypeError, match="public_url must be a str, not int"):
        CallbackReceiver(5)  # type: ignore[arg-type]  # the mistake


def test_a_receiver_that_has_seen_nothing_has_counted_nothing() -> None:
    receiver = CallbackReceiver(URL, [SECRET])
    assert receiver.stats == CallbackStats()
    assert (receiver.has_secrets, CallbackReceiver(URL).has_secrets) == (True, False)


async def test_all_who_subscribed_to_a_path_hear_each_message() -> None:
    """One whose code fails, too; a message is unknown where none of them knows its task."""
    desk = Desk(SECRET)
    heard: list[CallbackMessage] = []

    def hears(message: CallbackMessage) -> bool:
        heard.append(message)
        return False

    def fails(message: CallbackMessage) -> bool:
        raise LookupError

    ends = [desk.receiver.subscribe(TOKEN, take) for take in (fails, hears)]
    for number, task_id in enumerate(["t1", "stranger's"]):
        await desk.send(body_of(task_id), signed(body_of(task_id), at=NOW, message_id=str(number)))
    assert heard == desk.messages
    assert len(heard) == 2
    ends[0]()
    for number, task_id in enumerate(["t1", "stranger's"]):
        body = body_of(task_id)
        await desk.send(body, signed(body, at=NOW, message_id=f"again-{number}"))
    assert desk.counts == {"signed": 4, "unknown": 1}


async def test_the_limit_of_a_path_is_one_for_all_who_subscribed_to_it() -> None:
    """Fault 62: another client of the same account allows no second flood."""
    desk = Desk()
    statuses = [(await desk.send(body_of("t1"))).status for _ in range(2000)]
    assert set(statuses) == {200}
    desk.receiver.subscribe(TOKEN, desk.take)
    assert (await desk.send(body_of("t1"))).status == 429


@pytest.mark.parametrize("body", ["{}", {"task_id": "t1"}, None, 5, ["a"]], ids=lambda b: repr(b))
@pytest.mark.parametrize("path", [f"/kling/{TOKEN}", "/kling/guess"], ids=["known", "unknown"])
async def test_a_body_that_is_no_bytes_is_a_type_error(body: Any, path: str) -> None:
    """It is no fault of the sender: every message would be answered with 400."""
    desk = Desk()
    name = type(body).__name__
    with pytest.raises(TypeError, match=rf"the raw bytes .*\(await request\.body\(\)\).*{name}$"):
        await desk.send(body, path=path)
    assert desk.counts == {}


async def test_another_event_loop_than_the_clients_is_an_error() -> None:
    """The poller of a client would be changed by two threads at once."""
    desk, body = Desk(SECRET), body_of("t1")

    async def subscribe() -> Callable[[], None]:
        return desk.receiver.subscribe("other", desk.take)

    for call in (lambda: desk.send(body), subscribe):
        with pytest.raises(RuntimeError, match="belongs to another event loop, that of its cli"):
            await asyncio.to_thread(asyncio.run, call())
    assert desk.counts == {}
    assert (await desk.send(body)).status == 200
    desk.unsubscribe()
    await asyncio.to_thread(asyncio.run, subscribe())  # nobody of this loop is left
    assert (await desk.send(body, path="/other")).status == 200  # and that one has ended


HEADERS = signed(body_of("t1"), at=NOW)


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        (
            {name.encode(): value.encode() for name, value in HEADERS.items()},
            "not of bytes: decode",
        ),
        ({name: [value] for name, value in HEADERS.items()}, "not of list"),
        ({**HEADERS, "x-trace": None}, "not of NoneType"),
        ([(b"webhook-id", b"msg-1")], "such as request.headers, not list"),
        (None, "such as request.headers, not NoneType"),
    ],
    ids=["bytes", "lists", "None among them", "pairs", "None"],
)
async def test_headers_that_are_no_mapping_of_texts_are_a_type_error(
    headers: Any, says: str
) -> None:
    """Otherwise every message would count as unsigned."""
    desk = Desk(SECRET)
    with pytest.raises(TypeError, match=rf"^headers must be a mapping .*{says}"):
        await desk.receiver.receive(headers, body_of("t1"), path=f"/kling/{TOKEN}")
    assert desk.counts == {}


@pytest.mark.parametrize("path", [f"/kling/{TOKEN}".encode(), None], ids=["bytes", "None"])
async def test_a_path_that_is_no_text_is_a_type_error(path: Any) -> None:
    desk = Desk(SECRET)
    with pytest.raises(TypeError, match=rf"^path must be .* not {type(path).__name__}$"):
        await desk.send(body_of("t1"), HEADERS, path)
    assert desk.counts == {}


async def test_a_piece_of_a_body_that_is_no_bytes_is_a_type_error() -> None:
    desk = Desk()

    async def texts() -> AsyncIterator[Any]:
        yield b"{"
        yield "}"

    with pytest.raises(TypeError, match=r"the raw bytes .* str$"):
        await desk.send(texts())
    assert desk.counts == {}


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "in pieces"])
async def test_a_body_may_be_any_bytes_of_python(kind: Any, is_whole: bool) -> None:
    desk, body = Desk(SECRET), body_of("t1")
    sent = kind(body) if is_whole else pieces(kind(body[:9]), kind(body[9:]))
    assert (await desk.send(sent, signed(body, at=NOW))).status == 200
    assert desk.counts == {"signed": 1}
