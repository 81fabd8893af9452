"""Something on the way answers in place of the service, which may have accepted the submit."""

from __future__ import annotations

import asyncio
import json
import zlib

import pytest

from kling_effects_async import (
    AccountError,
    AuthenticationError,
    ContentRejectedError,
    EffectsClient,
    InvalidRequestError,
    KlingEffectsError,
    RateLimitError,
    ReplyError,
    RetryPolicy,
    SubmissionUncertainError,
    SubmitPolicy,
)
from kling_effects_async.emulator import Clips, Emulator, RepeatedId
from tests.support.fault_proxy import (
    FaultProxy,
    answer_instead,
    client_through,
    whole_answer,
)
from tests.support.submits import SQUISH

pytestmark = pytest.mark.looptime

PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
TASK = b'{"code": 0, "data": {"task_id": "t-1", "task_status": "submi'
MIB = 2**20


def bomb() -> bytes:
    """64 MiB of JSON in 64 KB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(b" " * MIB) for _ in range(64))
    return whole_answer(200, packed + packer.flush(), Content_Encoding="gzip")


def coded(status: int, code: int, **headers: str) -> bytes:
    """An answer in Kling's own form."""
    said = {"code": code, "message": "no", "request_id": "r-1"}
    return whole_answer(status, json.dumps(said).encode(), **headers)


# None of them tells whether the task was accepted.
TELLS_NOTHING = {
    "8 nothing": b"",
    "8 a cut body": whole_answer(200, TASK).replace(b": 6", b": 9"),
    "8 a body that ends too soon, without a length": b"HTTP/1.1 200 OK\r\n\r\n" + TASK,
    "10 a portal's page": whole_answer(200, PAGE, "text/html"),
    "11 502": whole_answer(502, PAGE, "text/html"),
    "11 503": whole_answer(503, PAGE, "text/html"),
    "11 504": whole_answer(504, PAGE, "text/html"),
    "12 500 with a code": coded(500, 5000),
    "12 500 with no code": whole_answer(500, b"{}"),
    "43 five MiB": whole_answer(200, b" " * 5 * MIB),
    "43 a bomb": bomb(),
    "43 a header of 100 kB": whole_answer(200, b"{}", X_Long="x" * 100_000),
    "44 no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "44 no JSON": whole_answer(200, b"\xff\xfe{]\x00"),
    "44 deep": whole_answer(200, b"[" * 100_000),
    "44 5,000 digits": whole_answer(200, b'{"code": ' + b"9" * 5_000 + b"}"),
    "44 a mark at the start": whole_answer(200, b"\xef\xbb\xbf{}"),
    "44 Latin-1": whole_answer(200, b'{"message": "caf\xe9"}'),
    "44 NaN": whole_answer(200, b'{"code": NaN}'),
    "44 a list": whole_answer(200, b"[]"),
    "46 303": whole_answer(303, Location="https://evil.example/done"),
}
# Nobody took the request (RFC 9110, 15.4).
MOVED = {
    f"46 {status}": whole_answer(status, Location="https://evil.example/login?next=a")
    for status in (301, 302, 307, 308)
}
ANSWERS = pytest.mark.parametrize("answer", TELLS_NOTHING.values(), ids=TELLS_NOTHING)


@ANSWERS
async def test_a_submit_that_was_accepted_is_found_and_paid_once(answer: bytes) -> None:
    """Faults 8, 10, 11, 12, 43, 44, 46: in place of the acceptance."""
    async with (
        Emulator(clips=Clips.STOCK, repeated_external_id=RepeatedId.ACCEPT) as emulator,
        FaultProxy(emulator.url) as proxy,
        client_through(proxy, emulator) as client,
    ):
        proxy.next(answer_instead(answer))
        task = await client.submit(SQUISH, external_task_id="order-42")
        assert (await task).external_task_id == "order-42"
        assert emulator.ledger.accepted("order-42") == 1
        assert emulator.requests["submit"] == 1


@ANSWERS
async def test_a_submit_that_never_came_is_uncertain_until_it_is_proved(
    proxy: FaultProxy, emulator: Emulator, answer: bytes
) -> None:
    """Faults 8, 10, 11, 12, 43, 44, 46: then it is sent once more, and paid once."""
    async with client_through(proxy, emulator, submit=SubmitPolicy(settle_pause_s=1)) as client:
        proxy.next(answer_instead(answer, reaches_service=False))
        with pytest.raises(SubmissionUncertainError, match="Nothing was sent again"):
            await client.submit(SQUISH, external_task_id="order-42")
        assert emulator.ledger.total == 0
        await client.submit(SQUISH, external_task_id="known")
        await client.submit(SQUISH, external_task_id="order-42")
    assert emulator.ledger.accepted("order-42") == 1


@pytest.mark.parametrize("answer", [*TELLS_NOTHING.values(), *MOVED.values()])
async def test_a_wait_outlives_it(proxy: FaultProxy, emulator: Emulator, answer: bytes) -> None:
    """Faults 8, 10, 11, 12, 43, 44, 46: in place of a poll's answer."""
    async with client_through(proxy, emulator) as client:
        task = await client.submit(SQUISH)
        await proxy.hang_up()
        proxy.next(*[answer_instead(answer)] * 2)
        assert (await task).task_id == task.task_id
        assert not proxy.script
    assert emulator.ledger.total == 1


@pytest.mark.parametrize("answer", MOVED.values(), ids=MOVED)
async def test_a_redirect_leads_no_request_elsewhere(
    proxy: FaultProxy, emulator: Emulator, answer: bytes
) -> None:
    """Fault 46: neither a paid submit nor the key goes to a host that nobody named."""
    async with FaultProxy(emulator.url) as elsewhere, client_through(proxy, emulator) as client:
        there = answer.replace(b"https://evil.example", elsewhere.url.encode())
        proxy.always = answer_instead(there, reaches_service=False)
        for call in (client.submit(SQUISH), client.list_tasks()):
            with pytest.raises(ReplyError, match=r"redirects to 127\.0\.0\.1, path /login:"):
                await call
        assert elsewhere.connections == []
        assert sum(each.request.startswith(b"POST") for each in proxy.connections) == 1
    assert emulator.ledger.total == 0


# -- a clear rejection


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (200, 1000, AuthenticationError),
        (401, 1002, AuthenticationError),
        (200, 1101, AccountError),
        (403, 1103, AccountError),
        (200, 1200, InvalidRequestError),
        (400, 1201, InvalidRequestError),
        (200, 1301, ContentRejectedError),
    ],
)
async def test_a_rejection_by_code_is_final_and_nothing_is_sent_again(
    proxy: FaultProxy,
    emulator: Emulator,
    status: int,
    code: int,
    kind: type[KlingEffectsError],
) -> None:
    """Faults 9, 12: the code decides, whatever the status is."""
    async with client_through(proxy, emulator) as client:
        proxy.next(answer_instead(coded(status, code), reaches_service=False))
        with pytest.raises(kind):
            await client.submit(SQUISH, external_task_id="order-42")
    assert len(proxy.connections) == 1
    assert emulator.requests["submit"] == 0


# -- pace


async def submitted_after(client: EffectsClient) -> float:
    began_at = asyncio.get_running_loop().time()
    await client.submit(SQUISH, external_task_id="order-42")
    return asyncio.get_running_loop().time() - began_at


@pytest.mark.parametrize(
    ("asked", "least_s", "most_s"),
    [
        ("30", 30, 36),
        ("0", 0, 5),
        ("-5", 0, 5),
        ("soon", 0, 5),
        ("Thu, 01 Jan 2015 00:00:00 GMT", 0, 5),
    ],
)
@pytest.mark.parametrize(("status", "code"), [(429, 1302), (429, 1303), (200, 1303)])
async def test_a_submit_waits_as_long_as_it_is_told_and_is_paid_once(
    proxy: FaultProxy,
    emulator: Emulator,
    asked: str,
    least_s: float,
    most_s: float,
    status: int,
    code: int,
) -> None:
    """Faults 13, 14, 15: no error for the caller."""
    limited = coded(status, code, Retry_After=asked)
    async with client_through(proxy, emulator) as client:
        proxy.next(answer_instead(limited, reaches_service=False))
        assert least_s <= await submitted_after(client) <= most_s
    assert emulator.ledger.accepted("order-42") == 1


async def test_a_pause_of_years_ends_the_submit_with_the_number(
    proxy: FaultProxy, emulator: Emulator
) -> None:
    """Fault 14: it is not waited for, and the caller can plan."""
    limited = coded(429, 1302, Retry_After="1000000000")
    async with client_through(proxy, emulator) as client:
        proxy.next(answer_instead(limited, reaches_service=False))
        with pytest.raises(RateLimitError) as caught:
            await client.submit(SQUISH)
    assert caught.value.retry_after_s == 1_000_000_000
    assert emulator.ledger.total == 0


async def test_more_rejections_for_pace_than_there_are_attempts_end_no_submit(
    proxy: FaultProxy, emulator: Emulator
) -> None:
    """Faults 13, 15: they use up no attempt, also of many submits at once."""
    limited = answer_instead(coded(429, 1303), reaches_service=False)
    async with client_through(proxy, emulator, retry=RetryPolicy(attempts=2)) as client:
        proxy.next(*[limited] * 12)
        await asyncio.gather(*[client.submit(SQUISH, external_task_id=f"o{n}") for n in range(6)])
    assert emulator.ledger.total == 6
    assert emulator.ledger.repeated() == ()
