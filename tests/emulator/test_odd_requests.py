"""Whatever is sent, an emulator answers it, and charges only what it took."""

from __future__ import annotations

import asyncio
import json
import string

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kling_effects_async.emulator import Clips, Emulator
from tests.support.emulator_caller import GATEWAY, OFFICIAL, Caller, calling, single

LONE = st.sampled_from(["\ud800", "\udfff", "\x00", "", "a" * 9000, "\U0001f600"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([10**400, -1, 1e308])
    | st.text(max_size=20)
    | LONE
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = [
    "effect_scene",
    "input",
    "external_task_id",
    "callback_url",
    "fault",
    "on",
    "times",
    "url",
]
INPUTS = ["model_name", "image", "images", "duration", "mode"]
CHANGES = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3)
PARTS = st.dictionaries(st.sampled_from(INPUTS), VALUES, max_size=3)
RAW = st.binary(max_size=60) | st.sampled_from([b"[" * 100_000, b"NaN", b"9" * 6000])
PATHS = st.sampled_from([GATEWAY, OFFICIAL, "/_emulator/faults", "/_emulator/test-callback"])
RANGES = st.from_regex(r"(bytes=)?-?[0-9]{0,25}-?[0-9,]{0,25}", fullmatch=True)
QUERIES = st.text(string.printable, max_size=20)


@settings(max_examples=40, deadline=None)
@example(GATEWAY, {"external_task_id": "\ud800"}, {}, b"", "", "1")
@given(PATHS, CHANGES, PARTS, RAW, RANGES, QUERIES)
def test_no_request_breaks_it_and_a_rejected_one_is_not_charged(
    path: str,
    changes: dict[str, object],
    parts: dict[str, object],
    raw: bytes,
    range_header: str,
    query: str,
) -> None:
    """Fault 95: lone surrogates, deep JSON, huge numbers, odd ranges: never 500."""
    asyncio.run(_send_all(path, changes, parts, raw, range_header, query))


async def _send_all(
    path: str,
    changes: dict[str, object],
    parts: dict[str, object],
    raw: bytes,
    range_header: str,
    query: str,
) -> None:
    url = "https://img.example/a.jpg"
    given_input = {"model_name": "kling-v1-6", "image": url, "duration": "5"} | parts
    whole = json.dumps(single() | {"input": given_input} | changes).encode()
    async with Emulator(clips=Clips.STOCK, speed=1e9) as emulator, calling(emulator) as caller:
        before = emulator.ledger.total
        statuses = [await _post(caller, path, body) for body in (raw, whole)]
        taken = statuses.count(200) if path != "/_emulator/faults" else 0
        assert not {500, 501, 502, 503} & set(statuses)
        assert emulator.ledger.total - before == taken
    async with Emulator(clips=Clips.STOCK, speed=1e9) as emulator, calling(emulator) as caller:
        await caller.submit()
        page = await caller.send("GET", GATEWAY)
        [video] = page.task[0]["task_result"]["videos"]
        partly = await caller.send("GET", video["url"], headers={"Range": range_header})
        assert partly.status in (200, 206, 416)
        listed = await caller.send("GET", GATEWAY, params={"pageNum": query, "pageSize": query})
        assert listed.status in (200, 400)


async def _post(caller: Caller, path: str, body: bytes) -> int:
    typed = {"Content-Type": "application/json"}
    return (await caller.send("POST", path, data=body, headers=typed)).status
