"""A wrong argument is named before anything is sent or paid for."""

from __future__ import annotations

import inspect
import os
import random
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kling_effects_async import (
    BearerToken,
    EffectsClient,
    PollPolicy,
    RetryPolicy,
    Service,
    SingleImageEffect,
    SlotPolicy,
    SubmitPolicy,
    Video,
)
from kling_effects_async.arguments import as_units
from kling_effects_async.client_options import ClientOptions
from kling_effects_async.emulator import Emulator
from kling_effects_async.errors import EffectRejectedError, SettingsError
from kling_effects_async.journal.sqlite.journal import Journal
from kling_effects_async.transport.clock import SystemClock

SECRET = "topsecret"
VIDEO = Video(url="https://v.example/o.mp4")


class BytesPath(os.PathLike[bytes]):
    """As ``os.scandir(b".")`` gives them."""

    def __fspath__(self) -> bytes:
        return b"jobs.db"


WRONG: list[tuple[str, Any]] = [
    ("credentials", SECRET),
    ("credentials", None),
    ("poll", 60.0),
    ("poll", 5),
    ("poll", 0),
    ("poll", {"deadline_s": 5}),
    ("poll", PollPolicy),
    ("poll", RetryPolicy()),
    ("retry", 3),
    ("retry", PollPolicy()),
    ("slots", 5),
    ("submit", "resubmit"),
    ("service", "https://topsecret.example"),
    ("service", ""),
    ("journal", 5),
    ("journal", True),
    ("journal", b"topsecret.db"),
    ("journal", BytesPath()),
    ("journal", Journal),
    ("account", 5),
    ("account", b"topsecret"),
    ("session", "topsecret"),
    ("session", aiohttp.ClientSession),
    ("proxy", 5),
    ("proxy", b"http://topsecret@proxy:1"),
    ("trust_env", "no"),
    ("trust_env", None),
    ("clock", 5),
    ("clock", time),
    ("clock", SystemClock),
    ("rng", 5),
    ("rng", None),
    ("rng", random.Random(1)),
    ("budget_units", True),
    ("budget_units", b"5"),
    ("budget_units", [5]),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_an_argument_of_a_wrong_type_is_named_with_its_type(name: str, value: Any) -> None:
    arguments = {"credentials": BearerToken("test-key"), name: value}
    with pytest.raises(TypeError, match=rf"^{name} must be .*(not \w+|not of bytes)$") as caught:
        EffectsClient(**arguments)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("account", ""),
        ("account", "a\nb"),
        ("account", "a\ud800"),
        ("journal", ""),
        ("budget_units", "ten"),
        ("budget_units", ""),
        ("budget_units", "nan"),
        ("budget_units", Decimal("sNaN")),
        ("budget_units", float("inf")),
        ("budget_units", -1),
    ],
)
def test_a_value_that_cannot_be_is_rejected_at_once(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} must "):
        EffectsClient(BearerToken("test-key"), **{name: value})


async def test_every_right_argument_is_taken(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        EffectsClient(
            BearerToken("test-key"),
            service=Service.vapi(),
            journal=Journal(tmp_path / "jobs.db"),
            account="Bücherei 7",
            budget_units="3.5",
            poll=PollPolicy(),
            retry=RetryPolicy(),
            slots=SlotPolicy(),
            submit=SubmitPolicy(),
            session=session,
            proxy="http://127.0.0.1:1",
            trust_env=True,
            clock=SystemClock(),
            rng=random.Random(1).random,
        )
    for journal in ("jobs.db", tmp_path / "jobs.db"):
        EffectsClient(BearerToken("test-key"), journal=journal)


@pytest.mark.parametrize(
    ("given", "units"),
    [(10, "10"), ("3.5", "3.5"), (0, "0"), (0.1, "0.1"), (Decimal("7"), "7"), (None, None)],
)
def test_units_are_read_as_they_are_written(given: object, units: str | None) -> None:
    assert as_units("budget_units", given) == (None if units is None else Decimal(units))


async def awaited(*_: object) -> None: ...


def download(video: Any, path: Any, **options: Any) -> Callable[[EffectsClient], Any]:
    return lambda client: client.download(video, path, **options)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (download(None, "a.mp4"), r"video must be a Video, such as .*\.video, not NoneType"),
        (download(VIDEO.url, "a.mp4"), "video must be a Video, .* not str"),
        (download((VIDEO,), "a.mp4"), "video must be a Video, .* not tuple"),
        (download(VIDEO, None), "target must be a path .* not NoneType"),
        (download(VIDEO, b"a.mp4"), "target must be a path .* not bytes"),
        (
            download(VIDEO, "a.mp4", on_progress=5),
            "on_progress must be a plain function .* not int",
        ),
        (
            download(VIDEO, "a.mp4", on_progress=awaited),
            "on_progress .*, not a coroutine function.*",
        ),
    ],
)
async def test_what_cannot_be_downloaded_is_named(
    call: Callable[[EffectsClient], Any], sentence: str
) -> None:
    async with EffectsClient(BearerToken("test-key")) as client:
        with pytest.raises(TypeError, match=f"^{sentence}$"):
            await call(client)


@pytest.mark.parametrize("wrong", [b"x", 5, {"task_id": "x"}])
async def test_an_id_is_a_text(wrong: Any) -> None:
    async with EffectsClient(BearerToken("test-key")) as client:
        with pytest.raises(TypeError, match=r"^task_id must be a str, not "):
            client.attach(wrong)
        with pytest.raises(TypeError, match=r"^external_task_id must be a str, not "):
            client.attach(external_task_id=wrong)


@pytest.mark.parametrize(
    "wrong", ["", "  ", ".", "..", "a\ud800", "a\nb", "a\x00", "\x7f", "a\x9f"]
)
async def test_an_id_that_no_task_can_have_is_rejected(wrong: str) -> None:
    async with EffectsClient(BearerToken("test-key")) as client:
        with pytest.raises(EffectRejectedError, match=r"^task_id must be an id"):
            client.attach(wrong)


async def test_a_batch_is_told_of_a_wrong_argument_before_it_begins() -> None:
    effect = SingleImageEffect("squish", image="https://img.example/a.jpg")
    wrong: Any = 5
    async with Emulator() as emulator, emulator.client() as client:
        with pytest.raises(TypeError, match=r"^run must be a str, not int"):
            client.run_many([effect], run=wrong)
        with pytest.raises(SettingsError, match=r"^run must be plain text"):
            client.submit_many([effect], run="a\ud800")
        with pytest.raises(TypeError, match=r"^download_to must be the path of a folder"):
            client.run_many([effect], download_to=wrong)
        with pytest.raises(TypeError, match=r"^external_task_id must be a str"):
            await client.submit(effect, external_task_id=wrong)
        with pytest.raises(TypeError, match=r"^page_size must be a whole number, not str"):
            client.list_tasks(page_size="9")  # type: ignore[arg-type]  # the mistake
        assert emulator.requests.total() == 0


def test_the_options_that_are_passed_on_are_the_clients_own() -> None:
    own = inspect.signature(EffectsClient).parameters
    assert set(ClientOptions.__annotations__) == set(own) - {"credentials", "service"}
    for name, annotation in ClientOptions.__annotations__.items():
        assert annotation.__forward_arg__ == own[name].annotation, name


def test_an_option_that_is_misspelled_is_named() -> None:
    with pytest.raises(TypeError, match="jurnal"):
        EffectsClient.from_env({"KLING_API_KEY": "sk-test"}, jurnal="x.db")  # type: ignore[call-arg]  # what is tested
