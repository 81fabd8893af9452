"""Every create body is what its service's page demands."""

from __future__ import annotations

import base64
import json
from pathlib import Path, PurePosixPath
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async.effects import DualImageEffect, Effect, ImageSource, SingleImageEffect
from kling_effects_async.errors import EffectRejectedError, ImageRejectedError, SettingsError
from kling_effects_async.protocol.messages import Base64Of, Body
from kling_effects_async.protocol.requests import (
    build_list,
    build_lookup,
    build_query,
    build_submit,
    scene_advice,
)
from kling_effects_async.protocol.services import Service
from kling_effects_async.scenes import Scene, catalogue
from tests.support.samples import samples

REQUESTS = samples("requests")
SERVICES = {"vapi": Service.vapi(), "official": Service.official()}
URL = "https://img.example/a.jpg"


def filled(body: Body) -> Any:
    """The body as a server sees it, with the holes filled."""
    text = b"".join(
        base64.b64encode(piece.image) if isinstance(piece, Base64Of) else piece  # type: ignore[arg-type]  # samples hold bytes
        for piece in body
    )
    return json.loads(text)


def image(value: Any) -> ImageSource:
    return bytes.fromhex(value["bytes_hex"]) if isinstance(value, dict) else str(value)


def effect_of(members: dict[str, Any]) -> Effect:
    options: dict[str, Any] = {
        name: members[name] for name in ("model_name", "mode") if name in members
    }
    if "duration" in members:
        options["duration_s"] = int(members["duration"])
    if "image" in members:
        return SingleImageEffect(members["scene"], image=image(members["image"]), **options)
    left, right = image(members["left"]), image(members["right"])
    return DualImageEffect(members["scene"], left=left, right=right, **options)


@pytest.mark.parametrize("name", REQUESTS)
def test_a_create_body_is_what_the_page_demands(name: str) -> None:
    sample = REQUESTS[name]
    request = build_submit(
        SERVICES[sample["service"]],
        effect_of(sample["effect"]),
        external_task_id=sample["effect"].get("external_task_id"),
        callback_url=sample["effect"].get("callback_url"),
    )
    assert filled(request.body) == sample["expect_body"]
    assert not request.is_repeatable


def test_the_two_services_have_their_own_paths() -> None:
    effect = SingleImageEffect("squish", image=URL)
    assert build_submit(SERVICES["vapi"], effect).path == "/kling/v1/videos/effects"
    assert build_submit(SERVICES["official"], effect).path == "/v1/videos/effects"


def test_a_file_is_left_as_a_hole_and_never_opened() -> None:
    effect = SingleImageEffect("squish", image=Path("does-not-exist.jpg"))
    holes = [p for p in build_submit(Service.vapi(), effect).body if isinstance(p, Base64Of)]
    assert holes == [Base64Of(Path("does-not-exist.jpg"))]


def test_text_that_looks_like_json_stays_text() -> None:
    effect = SingleImageEffect('a"b\\', image=URL)
    assert filled(build_submit(Service.vapi(), effect).body)["effect_scene"] == 'a"b\\'


@pytest.mark.parametrize("code", [0xD800, 0xDFFF])
def test_a_text_that_is_no_unicode_is_rejected(code: int) -> None:
    effect = SingleImageEffect(f"squish{chr(code)}", image=URL)
    with pytest.raises(EffectRejectedError, match="not Unicode"):
        build_submit(Service.vapi(), effect)


def test_a_dual_scene_with_one_image_is_rejected() -> None:
    with pytest.raises(EffectRejectedError, match="'hug' does not take one image: use Dual"):
        build_submit(Service.vapi(), SingleImageEffect(Scene.HUG, image=URL))


def test_a_single_scene_with_two_images_is_rejected() -> None:
    with pytest.raises(EffectRejectedError, match="'squish' does not take two images: use Single"):
        build_submit(Service.vapi(), DualImageEffect("squish", left=URL, right=URL))


@pytest.mark.parametrize(
    ("service", "options", "reason"),
    [
        ("vapi", {"model_name": "kling-v1"}, "does not take model_name='kling-v1'"),
        ("vapi", {"duration_s": 10}, "does not take duration_s=10 .* use 5"),
        ("official", {"model_name": "kling-v1-6"}, "has no model_name .* leave it out"),
        ("official", {"duration_s": 5}, "has no duration_s"),
    ],
)
def test_a_field_the_service_does_not_take_is_rejected_with_a_reason(
    service: str, options: dict[str, Any], reason: str
) -> None:
    effect = SingleImageEffect("squish", image=URL, **options)
    with pytest.raises(EffectRejectedError, match=reason):
        build_submit(SERVICES[service], effect)


BARE = Service.gateway("https://gateway.example", sends_defaults=False)


@pytest.mark.parametrize(
    ("effect", "sent"),
    [
        (SingleImageEffect("squish", image=URL), {"image": URL}),
        (DualImageEffect("hug", left=URL, right=URL), {"images": [URL, URL]}),
        (
            SingleImageEffect("squish", image=URL, model_name="kling-v1-6", duration_s=5),
            {"image": URL, "model_name": "kling-v1-6", "duration": "5"},
        ),
        (
            DualImageEffect("hug", left=URL, right=URL, mode="pro"),
            {"images": [URL, URL], "mode": "pro"},
        ),
    ],
)
def test_a_gateway_without_defaults_is_sent_what_the_effect_names(
    effect: SingleImageEffect | DualImageEffect, sent: dict[str, Any]
) -> None:
    assert filled(build_submit(BARE, effect).body)["input"] == sent


def test_a_gateway_without_defaults_still_rejects_what_it_does_not_take() -> None:
    with pytest.raises(EffectRejectedError, match="does not take duration_s=7"):
        build_submit(BARE, SingleImageEffect("squish", image=URL, duration_s=7))


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "../../x", "a b", "ä", "a%2Fb", "x" * 129])
def test_an_external_id_that_could_be_mangled_on_its_way_is_rejected(bad: str) -> None:
    """Fault 55: path traversal in the id."""
    effect = SingleImageEffect("squish", image=URL)
    with pytest.raises(EffectRejectedError, match="is not safe in a path"):
        build_submit(Service.vapi(), effect, external_task_id=bad)


def test_a_query_quotes_whatever_the_service_called_its_task() -> None:
    assert build_query(Service.vapi(), "../a?b").path.endswith("/effects/..%2Fa%3Fb")
    assert build_lookup(Service.vapi(), "order-42").path.endswith("/effects/order-42")


@pytest.mark.parametrize(("page", "page_size"), [(0, 30), (1001, 30), (1, 0), (1, 501)])
def test_a_page_out_of_its_range_is_rejected(page: int, page_size: int) -> None:
    with pytest.raises(ValueError, match="must be 1 to"):
        build_list(Service.official(), page=page, page_size=page_size)


def test_a_callback_url_must_be_one() -> None:
    effect = SingleImageEffect("squish", image=URL)
    with pytest.raises(EffectRejectedError, match="callback_url must be an http"):
        build_submit(Service.vapi(), effect, callback_url="ftp://x")


# Addresses, as people paste them

PASTED = [
    ("HTTPS://img.example/Cat.JPG", "https://img.example/Cat.JPG"),
    ("Http://img.example/a.jpg", "http://img.example/a.jpg"),
    ("https://img.example/a.jpg\n", "https://img.example/a.jpg"),
    ("\t https://img.example/a.jpg \r\n", "https://img.example/a.jpg"),
    ("\ufeffhttps://img.example/a.jpg\u200b", "https://img.example/a.jpg"),
    ("https://img.example:8443/ä.jpg?sign=1#x", "https://img.example:8443/ä.jpg?sign=1#x"),
    ("https://[2001:db8::1]:8443/a.jpg", "https://[2001:db8::1]:8443/a.jpg"),
    ("https://bücher.example", "https://bücher.example"),
]
NO_ADDRESSES = [
    "https://img.example/my cat.jpg",
    "https://img.example/cat\n.jpg",
    "https://img.example/cat.jpg\0",
    "https://img.example/\x7f",
    "https://img.example/\udfff",
    "https://img.example:eighty/",
    "https://img.example:99999/",
    "https://img.example:0/",
    "https://img.example:-1/",
    "https://[2001:db8::1/a.jpg",
    "https://2001:db8::1]/a.jpg",
    "https://[img.example]/a.jpg",
    "https://",
    "https:///a.jpg",
    "https://:443/a.jpg",
    "https://user:secret@/a.jpg",
    "https://user:secret@img.example:x/a.jpg?sign=secret",
    "ftp://img.example/a.jpg",
]


@pytest.mark.parametrize(("text", "address"), PASTED)
def test_an_address_is_taken_as_people_paste_it(text: str, address: str) -> None:
    effect = SingleImageEffect("squish", image=text)
    pair = DualImageEffect("hug", left=text, right=text)
    assert effect == SingleImageEffect("squish", image=address)
    assert pair.images == (address, address)
    body = filled(build_submit(Service.vapi(), effect, callback_url=text).body)
    assert body["input"]["image"] == body["callback_url"] == address


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_nobody_can_fetch_is_rejected_before_it_is_paid_for(text: str) -> None:
    with pytest.raises(ImageRejectedError) as image:
        SingleImageEffect("squish", image=text)
    effect = SingleImageEffect("squish", image=URL)
    with pytest.raises(EffectRejectedError) as callback:
        build_submit(Service.vapi(), effect, callback_url=text)
    assert "secret" not in f"{image.value!r} {image.value} {callback.value!r}"


@given(st.text())
def test_any_text_is_an_address_or_rejected(text: str) -> None:
    try:
        effect = SingleImageEffect("squish", image=f"https://{text}")
    except ImageRejectedError:
        return
    assert repr(effect)


def test_the_repr_of_an_effect_never_raises() -> None:
    with attrs.validators.disabled():
        effect = SingleImageEffect("squish", image="https://[secret@x?sign=secret")
    assert "secret" not in repr(effect)


def test_a_callback_url_that_is_too_long_is_rejected_and_its_query_not_shown() -> None:
    """Fault 93."""
    effect = SingleImageEffect("squish", image="https://i.example/a.jpg")
    url = "https://c.example/?token=secret".ljust(8_000, "x")
    assert build_submit(Service.vapi(), effect, callback_url=url).body
    with pytest.raises(EffectRejectedError, match=r"at most 8,000 characters, not 8,001") as caught:
        build_submit(Service.vapi(), effect, callback_url=url + "x")
    assert "secret" not in str(caught.value)


def test_a_password_in_a_callback_url_without_a_scheme_is_not_shown() -> None:
    effect = SingleImageEffect("squish", image="https://i.example/a.jpg")
    with pytest.raises(EffectRejectedError, match=r"not 'c\.example/x'") as caught:
        build_submit(Service.vapi(), effect, callback_url="me:secret@c.example/x")
    assert "secret" not in str(caught.value)


def test_a_callback_url_is_text() -> None:
    effect = SingleImageEffect("squish", image=URL)
    with pytest.raises(TypeError, match="callback_url must be a str, not PurePosixPath"):
        build_submit(Service.vapi(), effect, callback_url=PurePosixPath("x"))  # type: ignore[arg-type]  # that is the mistake


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cat.jpg", r"for a file pass pathlib\.Path"),
        ("data:image/png;base64,AAAA", "pass the image's bytes"),
        ("A" * 100, "looks like base64"),
    ],
)
def test_a_str_that_is_no_url_is_explained(text: str, reason: str) -> None:
    with pytest.raises(ImageRejectedError, match=reason):
        SingleImageEffect("squish", image=text)


def test_no_repr_of_an_effect_shows_a_signature_or_the_image() -> None:
    """Fault 67: secrets in a repr."""
    shown = repr(DualImageEffect("hug", left=f"{URL}?sign=secret", right=b"\x89PNG secret"))
    assert "secret" not in shown


def test_an_unknown_scene_comes_with_advice_and_a_known_one_without() -> None:
    assert scene_advice(Service.vapi(), "squish") is None
    assert "did you mean 'squish'" in (scene_advice(Service.vapi(), "squisch") or "")
    assert "is in no known list" in (scene_advice(Service.vapi(), "qqqqqq") or "")


def test_the_official_service_says_which_scenes_its_lists_dropped() -> None:
    assert "end announced for 2026-01-30" in (scene_advice(Service.official(), "hug") or "")
    assert scene_advice(Service.official(), "hug_pro") is None


def test_every_scene_constant_is_in_the_catalogue_with_its_number_of_images() -> None:
    numbers = {scene.value: catalogue()[scene].images for scene in Scene}
    assert numbers == {
        "fuzzyfuzzy": 1,
        "squish": 1,
        "expansion": 1,
        "hug": 2,
        "kiss": 2,
        "heart_gesture": 2,
    }


def test_the_catalogue_has_the_counts_of_the_pages_it_was_made_from() -> None:
    """Source: the newest pages name 219 scenes (global) and 206 (mainland), 15 of them dual."""
    infos = catalogue().values()
    assert len(infos) == 331
    assert sum("global" in info.regions for info in infos) == 219
    assert sum("mainland" in info.regions for info in infos) == 206
    assert sum(info.images == 2 and info.is_listed for info in infos) == 15


@pytest.mark.parametrize(
    "url", ["ftp://x", "https://", "https://u:p@x", "https://x?q=1", "http://gateway.example"]
)
def test_a_base_url_that_is_not_bare_or_not_encrypted_is_rejected(url: str) -> None:
    with pytest.raises(SettingsError):
        Service.gateway(url)


def test_plain_http_is_for_this_machine_or_by_explicit_wish() -> None:
    assert Service.gateway("http://127.0.0.1:8787/").base_url == "http://127.0.0.1:8787"
    inside = Service.gateway("http://new-api:3000", allow_plain_http=True)
    assert inside.base_url == "http://new-api:3000"
