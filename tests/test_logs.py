"""Log records: stable names and ids as fields, and a table in the docs that is the code's own."""

from __future__ import annotations

import ast
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

import kling_effects_async
from kling_effects_async import SingleImageEffect, TaskFailedError
from kling_effects_async.emulator import Clips, Emulator, Fault
from kling_effects_async.errors import RateLimitError
from kling_effects_async.log_fields import log_fields
from tests.conftest import PHOTOS

PACKAGE = Path(kling_effects_async.__file__).parent
LOGS = Path(__file__).parents[1] / "docs" / "logs.md"
SQUISH = SingleImageEffect("squish", image=PHOTOS / "cat.jpg")
OF_EVERY_RECORD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log"}


@frozen
class Logged:
    """What a log call says of itself."""

    event: str
    levels: tuple[str, ...]
    fields: tuple[str, ...]


def log_calls(source: str) -> Iterator[Logged]:
    """Every call of a logger in a module."""
    tree = ast.parse(source)
    loggers = set(logger_names(tree))
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and is_log_call(node, loggers):
                    yield read(node, function)


def logger_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and "logging.getLogger" in ast.unparse(node.value):
            yield from (n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name))


def is_log_call(call: ast.Call, loggers: set[str]) -> bool:
    method = call.func
    if not isinstance(method, ast.Attribute) or method.attr not in LEVELS:
        return False
    return ast.unparse(method.value) in loggers


def read(call: ast.Call, function: ast.AST) -> Logged:
    assert isinstance(call.func, ast.Attribute)
    (extra,) = (k.value for k in call.keywords if k.arg == "extra")
    assert isinstance(extra, ast.Call)
    assert ast.unparse(extra.func) == "log_fields"
    (event,) = (ast.literal_eval(argument) for argument in extra.args)
    fields = [keyword.arg or "**" for keyword in extra.keywords]
    levels = re.findall(r"logging\.([A-Z]+)", ast.unparse(function))
    method = call.func.attr
    return Logged(
        event,
        tuple(levels) if method == "log" else (method.upper(),),
        tuple(fields) + (("code",) if "error" in fields else ()),
    )


IN_CODE = [call for path in PACKAGE.rglob("*.py") for call in log_calls(path.read_text("utf-8"))]


def rows() -> Iterator[Logged]:
    """The table of the docs."""
    row = re.compile(r"^\| `([a-z_.]+)` \| ([A-Z, ]+) \| ([a-z_`, ]*) \| \S.* \|$", re.MULTILINE)
    for event, levels, fields in row.findall(LOGS.read_text("utf-8")):
        yield Logged(event, tuple(levels.split(", ")), tuple(re.findall(r"\w+", fields)))


def test_the_table_has_every_event_of_the_code_and_no_other() -> None:
    assert sorted(set(rows()), key=lambda row: row.event) == sorted(
        set(IN_CODE), key=lambda call: call.event
    )
    assert len(list(rows())) == len({row.event for row in rows()})


def test_every_line_of_the_table_was_read() -> None:
    lines = [line for line in LOGS.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert len(lines) == len(list(rows()))


def test_no_field_has_a_name_that_every_record_has() -> None:
    assert {
        field for call in IN_CODE for field in (*call.fields, "event")
    } & OF_EVERY_RECORD == set()


@pytest.mark.parametrize(
    "call",
    ['_log.info("x")', '_log.info("x", extra={"event": "x"})', '_log.info("x", extra=other("x"))'],
)
def test_a_planted_call_without_fields_is_found(call: str) -> None:
    source = f"import logging\n_log = logging.getLogger(__name__)\ndef f():\n    {call}"
    with pytest.raises((AssertionError, ValueError)):
        list(log_calls(source))


def test_every_logger_is_below_that_of_the_package() -> None:
    sources = "".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    made = re.findall(r"logging\.getLogger\((.*?)\)", sources)
    assert set(made) == {"__name__", "LOGGER_NAME", '"kling_effects_async"'}


def test_an_error_becomes_its_class_and_code_and_never_its_text() -> None:
    error = RateLimitError("secret words", code=1302)
    assert log_fields("x.y", error=error, task_id="t1", scene=None) == {
        "event": "x.y",
        "task_id": "t1",
        "error": "RateLimitError",
        "code": 1302,
    }


@pytest.mark.looptime
async def test_a_life_of_a_task_can_be_read_by_fields(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO, "kling_effects_async")
    async with Emulator(clips=Clips.STOCK, seed=1) as emulator, emulator.client() as client:
        result = await client.run(SQUISH, external_task_id="order-1")
        await client.download(result.video, tmp_path / "clip.mp4")
        emulator.fail_next(Fault.rejected(1302))
        emulator.fail_next(Fault.task_failed())
        with pytest.raises(TaskFailedError):
            await client.run(SQUISH, external_task_id="order-2")
    seen = [
        {name: value for name, value in vars(record).items() if name not in OF_EVERY_RECORD}
        for record in caplog.records
        if record.name.startswith("kling_effects_async") and "emulator" not in record.name
    ]
    assert json.loads(json.dumps(seen)) == seen  # what any formatter can write
    assert [(each["event"], each.get("external_task_id"), each.get("status")) for each in seen] == [
        ("task.accepted", "order-1", None),
        ("task.ended", "order-1", "succeeded"),
        ("clip.downloaded", None, None),
        ("submit.rejected", "order-2", None),
        ("submits.held_back", None, None),
        ("task.accepted", "order-2", None),
        ("task.ended", "order-2", "failed"),
    ]
    assert [each["code"] for each in seen if "code" in each] == [1302, 1302]
    assert seen[0]["task_id"] == seen[1]["task_id"] == seen[2]["task_id"] == result.task_id
    assert {each["scene"] for each in seen if "scene" in each} == {"squish"}
