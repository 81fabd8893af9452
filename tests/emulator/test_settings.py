"""What an emulator cannot be is said when it is made, not by its answers."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from kling_effects_async import PollPolicy, SingleImageEffect
from kling_effects_async.emulator import Clips, Emulator, RepeatedId, ReplyShape

NUMBERS = ("speed", "refresh_s", "task_seconds")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, -1, 1e300, 10**40, "x", True])
def test_a_number_that_no_clock_can_count_to_is_rejected(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be .*not "):
        Emulator(**{name: value})


@pytest.mark.parametrize(
    "value", [(5.0, math.inf), (math.nan, 5.0), (5.0, 4.0), (1.0, 2.0, 3.0), (1.0,), [1, 2], None]
)
def test_a_range_that_is_none_is_rejected(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^task_seconds must be seconds or \(low, high\)"):
        Emulator(task_seconds=value)


@pytest.mark.parametrize("value", ["x", "", "nan", "inf", "-1", None, True, b"2"])
def test_a_price_that_is_no_number_is_rejected(value: Any) -> None:
    for wrong in ({"units": value}, {"units_per_scene": {"squish": value}}):
        with pytest.raises(ValueError, match="must be a number of units"):
            Emulator(**wrong)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("clips", "Clips"),
        ("reply_shape", "ReplyShape"),
        ("repeated_external_id", "RepeatedId"),
        ("unknown_task", "UnknownTask"),
        ("retired_scenes", "RetiredScenes"),
    ],
)
def test_a_word_that_is_no_choice_is_rejected_with_the_choices(name: str, kind: str) -> None:
    for value in ("Preview!", 5, True, b"flat"):
        wrong: dict[str, Any] = {name: value}
        with pytest.raises(ValueError, match=rf"^{kind} must be one of '\w+', '\w+'.* not "):
            Emulator(**wrong)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", 5),
        ("host", None),
        ("port", "8787"),
        ("slots", "5"),
        ("slots", 1.5),
        ("seed", [1]),
        ("wall", 5),
        ("wall", None),
        ("access_keys", ["a"]),
        ("access_keys", {"a": b"b" * 32}),
        ("bearer_keys", [5]),
        ("units_per_scene", [1]),
        ("webhook_secret", b"whsec_c2VjcmV0"),
        ("lists_tasks", "no"),
        ("finds_external_ids", None),
        ("requires_model_fields", 0),
    ],
)
def test_an_argument_of_a_wrong_type_is_named(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{name} must "):
        Emulator(**{name: value})


def test_choices_and_prices_may_be_given_as_text() -> None:
    plain: dict[str, Any] = {
        "clips": "stock",
        "reply_shape": "wrapped_twice",
        "repeated_external_id": "accept",
        "units": 2.5,
        "units_per_scene": {"squish": Decimal(3)},
    }
    settings = Emulator(**plain).settings
    assert settings.clips is Clips.STOCK
    assert settings.reply_shape is ReplyShape.WRAPPED_TWICE
    assert settings.repeated_external_id is RepeatedId.ACCEPT
    assert (settings.units, settings.units_of("squish")) == ("2.5", "3")


@pytest.mark.parametrize("speed", [1e6, 1e9])
async def test_a_run_ends_where_choices_are_given_as_words(speed: float) -> None:
    words: dict[str, Any] = {"clips": "stock", "reply_shape": "flat", "units": 3}
    async with (
        Emulator(speed=speed, **words) as emulator,
        emulator.client(poll=PollPolicy(shortest_s=0.05)) as client,
    ):
        result = await client.run(SingleImageEffect("squish", image="https://img.example/a.jpg"))
    assert result.units == 3
