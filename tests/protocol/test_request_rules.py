"""The rules by which requests are written, one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from kling_effects_async import DualImageEffect, Service, SingleImageEffect
from kling_effects_async.errors import EffectRejectedError, SettingsError
from kling_effects_async.protocol.messages import Base64Of, FileState
from kling_effects_async.protocol.requests import (
    build_list,
    build_lookup,
    build_query,
    build_submit,
    check_external_task_id,
    check_task_id,
    scene_advice,
)

GATEWAY = Service.vapi()
PATH = "/kling/v1/videos/effects"
OWN = "/v1/videos/effects"
URL = "https://img.example/a.jpg"


def test_what_costs_money_is_never_repeated_and_what_asks_may_be() -> None:
    submit = build_submit(GATEWAY, SingleImageEffect("squish", image=URL))
    assert (submit.method, submit.path, submit.is_repeatable) == ("POST", PATH, False)
    for query in (build_query(GATEWAY, "X:1"), build_lookup(GATEWAY, "X:1")):
        assert (query.method, query.path) == ("GET", f"{PATH}/X%3A1")
        assert query.is_repeatable is True


@pytest.mark.parametrize(("page", "page_size"), [(1, 1), (1, 30), (1000, 500)])
def test_a_page_is_requested_by_its_number_and_its_size(page: int, page_size: int) -> None:
    request = build_list(GATEWAY, page=page, page_size=page_size)
    assert (request.method, request.path, request.is_repeatable) == ("GET", PATH, True)
    assert request.query == (("pageNum", str(page)), ("pageSize", str(page_size)))


def test_the_first_page_of_thirty_is_the_usual_one() -> None:
    assert build_list(GATEWAY) == build_list(GATEWAY, page=1, page_size=30)


@pytest.mark.parametrize("bad", ["", "  ", "\u3000", ".", "..", "a\x00b", "\ud800"])
def test_an_id_that_no_service_can_have_is_named(bad: str) -> None:
    for check in (lambda: check_task_id(bad), lambda: build_query(GATEWAY, bad)):
        with pytest.raises(EffectRejectedError) as caught:
            check()
        assert str(caught.value) == f"task_id must be an id, not {bad!r}"
    with pytest.raises(EffectRejectedError, match="external_task_id must be an id, not"):
        build_lookup(GATEWAY, bad)


def test_ids_are_text_and_the_error_says_which() -> None:
    with pytest.raises(TypeError, match=r"^task_id must be a str"):
        check_task_id(5)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(TypeError, match=r"^external_task_id must be a str"):
        check_external_task_id(5)  # type: ignore[arg-type]  # what is tested
    check_task_id("t 1/2")


def test_of_a_long_id_the_beginning_is_shown() -> None:
    with pytest.raises(EffectRejectedError, match=f"'{'a' * 40}' is not safe"):
        check_external_task_id("a" * 129)
    with pytest.raises(EffectRejectedError, match=rf"not '{'a' * 40}'$"):
        check_task_id("a" * 60 + "\x00")


def test_what_is_no_effect_is_rejected_with_the_call() -> None:
    with pytest.raises(TypeError, match=r"^submit takes effects: "):
        build_submit(GATEWAY, "squish")  # type: ignore[arg-type]  # what is tested


def test_a_scene_that_is_not_known_comes_with_those_like_it() -> None:
    advice = scene_advice(GATEWAY, "squishh")
    assert advice is not None
    assert advice.startswith("scene 'squishh' is in no known list; it is sent as it is; did you")
    two = scene_advice(GATEWAY, "hugs")
    assert two is not None
    assert two.endswith("; did you mean 'hug' or 'hug_pro'?")
    assert scene_advice(GATEWAY, "qqqqqqqqqq") == (
        "scene 'qqqqqqqqqq' is in no known list; it is sent as it is"
    )


@pytest.mark.parametrize(
    ("scene", "since"),
    [("3d_cartoon_1", " (end announced for 2026-01-30)"), ("a_list_look", "")],
)
def test_a_scene_that_kling_dropped_comes_with_the_day(scene: str, since: str) -> None:
    assert scene_advice(Service.official(), scene) == (
        f"scene {scene!r} is not in Kling's newest list{since}; it may be rejected"
    )


def test_of_a_long_callback_url_the_beginning_is_shown() -> None:
    effect = SingleImageEffect("squish", image=URL)
    with pytest.raises(EffectRejectedError, match=rf"not 'ftp://{'h' * 34}': It must be"):
        build_submit(GATEWAY, effect, callback_url=f"ftp://{'h' * 60}.example/x")


def test_a_mode_that_the_service_does_not_take_comes_with_those_it_does() -> None:
    effect = DualImageEffect("hug", left=URL, right=URL, mode="best")
    with pytest.raises(EffectRejectedError) as caught:
        build_submit(GATEWAY, effect)
    assert str(caught.value) == (
        "vapi does not take mode='best' for this effect: use 'std' or 'pro'"
    )


def test_a_file_is_sent_as_it_was_checked() -> None:
    image, state = Path("a.jpg"), FileState(5, 7)
    request = build_submit(GATEWAY, SingleImageEffect("squish", image=image), files={image: state})
    assert Base64Of(image, state) in request.body
    raw = build_submit(GATEWAY, SingleImageEffect("squish", image=b"jpeg"), files={})
    assert Base64Of(b"jpeg") in raw.body


def test_a_body_is_short_utf_8() -> None:
    (body,) = build_submit(GATEWAY, SingleImageEffect("拥抱", image=URL)).body
    assert isinstance(body, bytes)
    assert body.startswith('{"effect_scene":"拥抱","input":{'.encode())


@pytest.mark.parametrize(
    ("now", "is_still"),
    [
        (FileState(5, 7, 1), True),
        (FileState(5, 7, 2), True),
        (FileState(6, 7, 1), False),
        (FileState(5, 8, 1), False),
        (FileState(5, 7, 0), False),
    ],
)
def test_a_file_that_was_written_to_or_deleted_is_another(now: FileState, is_still: bool) -> None:
    assert FileState(5, 7, 1).is_still(now) is is_still


def test_where_no_file_has_names_none_has_lost_them() -> None:
    assert FileState(5, 7, 0).is_still(FileState(5, 7, 0))
    assert not FileState(5, 7, 2).is_still(FileState(5, 7, 0))


# -- services


@pytest.mark.parametrize(
    ("text", "name", "base_url", "path", "has_list"),
    [
        (" VAPI ", "vapi", "https://api.gpt.ge", PATH, None),
        ("Beijing", "official-beijing", "https://api-beijing.klingai.com", OWN, True),
        ("singapore", "official-singapore", "https://api-singapore.klingai.com", OWN, True),
        ("official:https://gw.example", "official-singapore", "https://gw.example", OWN, True),
        ("https://gw.example", "gateway", "https://gw.example", PATH, None),
        ("http://localhost:8080", "gateway", "http://localhost:8080", PATH, None),
        ("http://127.0.0.1:8080", "gateway", "http://127.0.0.1:8080", PATH, None),
    ],
)
def test_a_service_is_named_by_a_word_or_an_address(
    text: str, name: str, base_url: str, path: str, has_list: bool | None
) -> None:
    service = Service.named(text)
    assert (service.name, service.base_url, service.effects_path) == (name, base_url, path)
    assert (service.finds_external_ids, service.lists_tasks) == (has_list, has_list)


def test_a_name_of_no_service_comes_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match="must be vapi, singapore, beijing or a gateway's base"):
        Service.named("tokyo")
    with pytest.raises(SettingsError) as caught:
        Service.official("tokyo")
    assert str(caught.value) == "unknown region 'tokyo': use 'singapore' or 'beijing'"


def test_a_gateway_without_defaults_keeps_what_it_takes() -> None:
    bare = Service.gateway("https://gw.example", sends_defaults=False).dialect
    usual = Service.gateway("https://gw.example").dialect
    for fields, others in ((bare.single, usual.single), (bare.dual, usual.dual)):
        assert (fields.sends_defaults, others.sends_defaults) == (False, True)
        assert fields.durations_s == others.durations_s
        assert fields.model_names == others.model_names


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://gw.example/a^b", "It holds the character '^'; percent-encode it"),
        ("https://gw!.example", ". Its host cannot be one; check the part before the path."),
        ("https://gw.example/a/../b", ". Its path goes up or stays: write it without . and .."),
        ("https://gw.example/./b", ". Its path goes up or stays: write it without . and .."),
        ("https://gw.example?a=b", ". base_url must be bare: no user name, password, query"),
        ("https://gw.example/kling/v1/videos/effects", "leave that out"),
        ("http://gw.example", "would carry the key in clear text: use https"),
    ],
)
def test_an_address_that_cannot_be_meant_says_why(url: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Service.gateway(url)
    assert problem in f". {caught.value}"
    assert not str(caught.value).endswith("X")


def test_a_service_of_no_text_says_which_member() -> None:
    with pytest.raises(TypeError, match=r"^base_url must be a str"):
        Service.gateway(5)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(TypeError, match=r"^name must be a str"):
        Service.gateway(URL, name=5)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(TypeError, match=r"^name must be a str"):
        Service.named(5)  # type: ignore[arg-type]  # what is tested


def test_an_address_of_ipv6_is_one() -> None:
    assert Service.gateway("https://[::1]:8080").base_url == "https://[::1]:8080"
