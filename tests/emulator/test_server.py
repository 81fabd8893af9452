"""Starting, stopping and steering an emulator."""

from __future__ import annotations

import ast
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import kling_effects_async.emulator
from kling_effects_async import SingleImageEffect
from kling_effects_async.emulator import Clips, Emulator, EmulatorError, Fault
from tests.support.emulator_caller import calling

PACKAGE = Path(kling_effects_async.emulator.__file__).parent


async def test_a_taken_port_is_named() -> None:
    """Fault 70: an error of its own, with the way to a free one."""
    async with Emulator(clips=Clips.STOCK) as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(EmulatorError, match=f"port {port} of 127.0.0.1 is taken.*port=0"):
            async with Emulator(clips=Clips.STOCK, port=port):
                pass


async def test_an_emulator_may_be_entered_again_with_an_empty_ledger() -> None:
    emulator = Emulator(clips=Clips.STOCK)
    for _ in range(2):
        async with emulator, calling(emulator) as caller:
            await caller.submit(external_task_id="order-42")
        assert emulator.ledger.total == emulator.requests["submit"] == 1


async def test_an_emulator_has_a_key_of_its_own_unless_it_is_given_one() -> None:
    """Fault 95: the key of one is wrong at the other, seed or not, and answered as Kling does."""
    async with (
        Emulator(clips=Clips.STOCK, seed=1) as first,
        Emulator(clips=Clips.STOCK, seed=1) as second,
    ):
        async with calling(second, authorization=f"Bearer {first.api_key}") as caller:
            rejected = await caller.submit()
        assert (rejected.status, rejected.json["code"]) == (401, 1002)
        assert second.ledger.total == 0
    assert Emulator(bearer_keys=["new-key", "old-key"]).api_key == "new-key"


async def test_two_emulators_may_run_side_by_side() -> None:
    async with (
        Emulator(clips=Clips.STOCK) as first,
        Emulator(clips=Clips.STOCK) as second,
        calling(first) as caller,
    ):
        await caller.submit()
        assert (first.ledger.total, second.ledger.total) == (1, 0)


async def test_an_emulator_that_runs_cannot_be_entered() -> None:
    async with Emulator(clips=Clips.STOCK) as emulator:
        with pytest.raises(EmulatorError, match="running already"):
            await emulator.__aenter__()


def test_an_emulator_that_does_not_run_has_no_address() -> None:
    with pytest.raises(EmulatorError, match="async with"):
        _ = Emulator().url


async def test_nothing_is_left_running_after_the_end() -> None:
    before = asyncio.all_tasks()
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        await caller.submit(callback_url="http://127.0.0.1:1/nobody")
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    "options",
    [
        {"speed": 0},
        {"slots": 0},
        {"port": 70_000},
        {"refresh_s": -1},
        {"access_keys": {"key": "too short"}},
        {"clips": "movies"},
        {"task_seconds": -1.0},
        {"task_seconds": (9.0, 3.0)},
        {"units": "two"},
        {"units_per_scene": {"hug": "-1"}},
        {"balance_units": "much"},
        {"balance_units": -1},
        {"bearer_keys": []},
        {"bearer_keys": "one-key"},
        {"bearer_keys": [""]},
        {"webhook_secret": "whsec_"},
        {"webhook_secret": "whsec_no base64"},
        {"unknown_task": "nobody"},
        {"retired_scenes": "forget"},
    ],
)
def test_an_impossible_setting_is_rejected_when_made(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Emulator(**options)


def test_a_rejected_secret_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="32 bytes") as rejected:
        Emulator(access_keys={"sentinel-key": "sentinel-secret-key"})
    assert "sentinel" not in str(rejected.value)


def test_secrets_do_not_show_in_the_settings() -> None:
    emulator = Emulator(webhook_secret="whsec_c2VjcmV0")
    settings = emulator.settings
    assert settings.access_keys["emulator-access-key"] not in repr(settings)
    assert emulator.api_key not in repr(settings)
    assert "c2VjcmV0" not in repr(settings)


async def test_the_ledger_and_the_counts_can_be_read_over_http() -> None:
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        task_id = await caller.new_task_id(external_task_id="order-42")
        ledger = (await caller.send("GET", "/_emulator/ledger")).json
        counts = (await caller.send("GET", "/_emulator/requests")).json
    assert (ledger["total"], ledger["repeated"]) == (1, [])
    entry = ledger["entries"][0]
    assert (entry["task_id"], entry["external_task_id"]) == (task_id, "order-42")
    assert counts["submit"] == 1


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"fault": "html", "status": 503, "on": "query"}, Fault.html(503, on="query")),
        ({"fault": "cut_answer", "after_bytes": 9}, Fault.cut_answer(9)),
        ({"fault": "garbage", "body": "x"}, Fault.garbage(b"x")),
        ({"fault": "rate_limited", "retry_after": 3}, Fault.rate_limited(3)),
        ({"fault": "changed_etag"}, Fault.changed_etag()),
        ({"fault": "task_failed", "message": "no luck"}, Fault.task_failed("no luck")),
        ({"fault": "rejected", "code": 1303}, Fault.rejected(1303)),
    ],
)
def test_a_fault_in_json_is_a_constructor_by_name(given: dict[str, Any], fault: Fault) -> None:
    assert Fault.from_json(given) == fault


async def test_faults_can_be_scripted_over_http() -> None:
    scripted = {"fault": "business_code", "code": 5001, "times": 2}
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        answer = await caller.send("POST", "/_emulator/faults", json=scripted)
        assert answer.json == {"waiting": 2}
        assert [(await caller.submit()).status for _ in range(3)] == [503, 503, 200]


@pytest.mark.parametrize(
    "given",
    [
        [],
        {},
        {"fault": "from_json"},
        {"fault": "__init__"},
        {"fault": "cut_answer"},
        {"fault": "html", "on": "cancel"},
        {"fault": "html", "times": 0},
        {"fault": "html", "times": "two"},
        {"fault": "html", "colour": "red"},
    ],
)
async def test_a_fault_that_makes_no_sense_is_400_with_the_reason(given: object) -> None:
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        answer = await caller.send("POST", "/_emulator/faults", json=given)
        assert answer.status == 400
        assert answer.json["error"]
        assert emulator.faults_left == 0


def odd(fault: str, name: str, *values: object, **others: object) -> list[object]:
    """The same fault with one argument after the other that makes no sense."""
    return [{"fault": fault, name: value} | others for value in values]


ODD_FAULTS = [
    *odd("late", "delay_s", "x", -1, None, True, []),
    *odd("answer", "status", "abc", 99_999, -1, 101, None, True, 2.5),
    *odd("answer", "body", 5, None, [1], status=200),
    *odd("answer", "headers", "x", {"X": "a\r\nB: c"}, {"X Y": "z"}, {"X": 1}, status=200),
    *odd("answer", "content_type", 5, None, status=200),
    *odd("answer", "accepted", "yes", None, status=200),
    *odd("cut_answer", "after_bytes", -5, "x", None, 1.5),
    *odd("drip", "piece_bytes", 0, -1, "x"),
    *odd("drip", "every_s", "x", -1),
    *odd("rate_limited", "retry_after", "1\r\nX: y"),
    *odd("business_code", "code", "x", None, 1.5),
    *odd("business_code", "message", 5, code=1303),
    *odd("rejected", "code", "x", None, 99, []),
    *odd("task_failed", "message", 5, None),
    *odd("status_word", "word", 5, None),
    *odd("html", "on", "nonsense", None, []),
    *odd("html", "times", 0, -1, True, "3", None),
    *odd("html", "fault", "from_json", "__init__", None, ["a"], {"a": 1}),
    *([], 5, None, "x"),
]


@pytest.mark.parametrize("given", ODD_FAULTS, ids=str)
async def test_an_odd_fault_is_rejected_when_it_is_scripted(given: object) -> None:
    """Fault 95: and not found out by the request that it was meant for."""
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        typed = {"Content-Type": "application/json"}
        body = json.dumps(given)
        answer = await caller.send("POST", "/_emulator/faults", data=body, headers=typed)
        assert (answer.status, emulator.faults_left) == (400, 0)
        assert (await caller.submit()).status == 200


@pytest.mark.parametrize("body", [b"", b"[" * 100_000, b"\xff", b'{"fault": NaN}'])
async def test_a_fault_that_is_no_json_is_rejected(body: bytes) -> None:
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        typed = {"Content-Type": "application/json"}
        answer = await caller.send("POST", "/_emulator/faults", data=body, headers=typed)
        assert answer.status == 400


async def test_a_fault_is_scripted_as_json_alone() -> None:
    """Fault 95: a page of another site can send text without a preflight request, but not JSON."""
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        answer = await caller.send("POST", "/_emulator/faults", data='{"fault": "html"}')
        assert (answer.status, emulator.faults_left) == (415, 0)


async def test_faults_that_wait_are_bounded_in_number_and_size() -> None:
    """Fault 95: 10^8 times of one fault take no more than one."""
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        many = {"fault": "html", "times": 10**8}
        large = {"fault": "garbage", "body": "x" * 2**18}
        assert (await caller.send("POST", "/_emulator/faults", json=large)).status == 413
        assert (await caller.send("POST", "/_emulator/faults", json=many)).status == 200
        for _ in range(999):
            emulator.fail_next(Fault.html())
        assert (await caller.send("POST", "/_emulator/faults", json=many)).status == 429
        assert emulator.faults_left == 10**8 + 999


@pytest.mark.parametrize("source", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.name)
def test_the_emulator_shares_no_wire_code_with_the_client(source: Path) -> None:
    """With one encoder on both sides a wrong field name would be wrong twice, and green."""
    imported = {
        name
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        for name in _imports(node)
    }
    own = {name for name in imported if name.startswith("kling_effects_async")}
    shared = {name for name in own if not name.startswith("kling_effects_async.emulator")}
    others = {
        f"kling_effects_async.{name}" for name in ("arguments", "log_fields", "preview", "scenes")
    }
    assert shared <= {"kling_effects_async"} | others


def _imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute, so that this test can read them"
        return [node.module or ""]
    return []


async def test_a_missing_extra_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)  # What Python itself makes of "not there".
    with pytest.raises(EmulatorError, match=r'pip install "kling-effects-async\[emulator\]"'):
        async with Emulator():
            pass
    async with Emulator(clips=Clips.STOCK):
        pass


@pytest.mark.parametrize("official", [False, True])
async def test_its_client_has_the_right_address_and_credentials(official: bool, cat: Path) -> None:
    async with (
        Emulator(clips=Clips.STOCK) as emulator,
        emulator.client(official=official) as client,
    ):
        await client.submit(SingleImageEffect("net_the_fish", image=cat))
        assert emulator.ledger.entries[0].effect_scene == "net_the_fish"
