"""Whose requests an emulator takes: on every path, not on its control paths alone."""

from __future__ import annotations

import pytest

from kling_effects_async.emulator import Clips, Emulator, Fault
from tests.support.emulator_caller import GATEWAY, OFFICIAL, Caller, calling

PATHS = [
    GATEWAY,
    OFFICIAL,
    f"{GATEWAY}/812345678901234567",
    "/media/812345678901234567.mp4",
    "/account/costs",
    "/_emulator/ledger",
    "/_emulator/requests",
    "/no/such/path",
]
FOREIGN = [
    {"Host": "evil.example"},
    {"Host": "127.0.0.1.evil.example:8787"},
    {"Host": "192.0.2.1"},
    {"Host": ""},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
]
OWN = [
    {},
    {"Host": "localhost:8787"},
    {"Host": "[::1]:8787"},
    {"Origin": "http://127.0.0.1:3000"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_foreign_page_is_rejected_on_every_path(headers: dict[str, str]) -> None:
    """Fault 95: DNS rebinding and requests of another site."""
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        for path in PATHS:
            assert (await caller.send("GET", path, headers=headers)).status == 403
        for path in (GATEWAY, "/_emulator/faults"):
            answer = await caller.send("POST", path, json={"fault": "html"}, headers=headers)
            assert answer.status == 403
        assert (emulator.ledger.total, emulator.faults_left) == (0, 0)


@pytest.mark.parametrize("headers", OWN, ids=str)
async def test_a_program_of_this_machine_is_answered(headers: dict[str, str]) -> None:
    """Fault 95: what is rejected is foreign, and nothing else."""
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        assert (await caller.send("GET", GATEWAY, headers=headers)).status == 200
        assert (await caller.send("GET", "/_emulator/ledger", headers=headers)).status == 200


async def test_a_foreign_submit_is_not_charged_and_uses_up_no_fault() -> None:
    """Fault 95: what was rejected leaves no trace."""
    async with Emulator(clips=Clips.STOCK) as emulator:
        emulator.fail_next(Fault.html())
        async with calling(emulator) as caller:
            answer = await caller.send(
                "POST", GATEWAY, json={}, headers={"Origin": "https://evil.example"}
            )
        assert answer.status == 403
        assert (emulator.ledger.total, emulator.faults_left) == (0, 1)


async def test_an_emulator_is_reached_by_the_name_it_listens_on() -> None:
    """A host that was given is its own, also where it is no loopback address."""
    async with Emulator(host="0.0.0.0", clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        assert (await caller.send("GET", GATEWAY)).status == 200


async def test_a_page_at_localhost_may_show_a_clip_of_127_0_0_1() -> None:
    """Fault 95: two sites to a browser, one machine; a foreign page is rejected the same clip."""
    async with Emulator(clips=Clips.STOCK, speed=1e9) as emulator, calling(emulator) as caller:
        task_id = await caller.new_task_id()
        [video] = (await caller.query(task_id)).task["task_result"]["videos"]
        assert await _status(caller, video["url"], "http://localhost:3000/") == 200
        assert await _status(caller, video["url"], "http://[::1]:3000/page") == 200
        for page in ["https://evil.example/", "http://localhost@evil.example/", "", "localhost"]:
            assert await _status(caller, video["url"], page) == 403
        assert await _status(caller, GATEWAY, "http://localhost:3000/") == 403


async def _status(caller: Caller, url: str, page: str) -> int:
    """What a browser sends from this page, which embeds this address."""
    sent = {"Sec-Fetch-Site": "cross-site", "Referer": page}
    return (await caller.send("GET", url, headers=sent)).status
