"""The service that a killed batch pays: an emulator in a process that lives through a whole run."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from random import Random
from typing import Any

from attrs import frozen

from kling_effects_async.emulator import Clips, Emulator, RepeatedId
from tests.crash.processes import LIFE_S, started, stay_with_parent

__all__ = ["KEY", "RULES", "TIMEOUT_S", "Rule", "charged", "running_emulator", "script_fault"]

KEY = "a-key-of-the-crashing-process"
# How long the batch waits for an answer.
TIMEOUT_S = 0.5


@frozen
class Rule:
    """What the service does with external ids."""

    name: str
    repeated: RepeatedId
    finds: bool = True


RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("reject", RepeatedId.REJECT),
        Rule("accept", RepeatedId.ACCEPT),
        # Used ids are accepted, so that the ledger shows whatever is sent twice.
        Rule("no-lookup", RepeatedId.ACCEPT, finds=False),
    )
}


def serve(rule: Rule, told: Connection) -> None:
    """The process of the emulator."""
    asyncio.run(_serve(rule, told))


async def _serve(rule: Rule, told: Connection) -> None:
    async with Emulator(
        bearer_keys=[KEY],
        clips=Clips.STOCK,
        speed=600,
        task_seconds=(30.0, 120.0),
        slots=10,
        repeated_external_id=rule.repeated,
        finds_external_ids=rule.finds,
        lists_tasks=rule.finds,  # or the list settles everything
    ) as emulator:
        told.send(emulator.url)
        await stay_with_parent()


@contextmanager
def running_emulator(rule: Rule) -> Iterator[str]:
    """The address of an emulator in a process of its own."""
    process, told = started(serve, rule)
    try:
        if not told.poll(LIFE_S):
            raise RuntimeError("the emulator does not start")
        yield told.recv()
    finally:
        process.kill()
        process.join()


def drawn_fault(random: Random) -> dict[str, object]:
    """Failure for one submit, mostly after the task was accepted, or for one query."""
    accepted: dict[str, object] = {"accepted": random.random() < 0.7}
    return random.choice(
        [
            {"fault": "cut_after_reading"} | accepted,
            {"fault": "answer", "status": 500, "body": "{}"} | accepted,
            {"fault": "html", "status": 502} | accepted,
            {"fault": "late", "delay_s": 2 * TIMEOUT_S} | accepted,
            {
                "fault": "cut_answer",
                "after_bytes": random.randrange(300),
                "announces_length": random.random() < 0.5,
            }
            | accepted,
            {"fault": "cut_before_reading"},
            {"fault": "html", "status": 503, "on": "query"},
            {"fault": "cut_answer", "after_bytes": random.randrange(300), "on": "query"},
        ]
    )


def _asked(url: str, given: object = None) -> Any:
    content = None if given is None else json.dumps(given).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=LIFE_S) as answer:
        return json.load(answer)


def script_fault(url: str, random: Random) -> None:
    """Have one of the next calls fail."""
    _asked(f"{url}/_emulator/faults", drawn_fault(random))


def charged(url: str) -> Mapping[str, Sequence[str]]:
    """The task ids that were charged for, by external id."""
    tasks = defaultdict(list)
    for entry in _asked(f"{url}/_emulator/ledger")["entries"]:
        tasks[entry["external_task_id"]].append(entry["task_id"])
    return tasks
