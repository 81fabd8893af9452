"""Credentials and policies are right or rejected, and never shown."""

from __future__ import annotations

from string import ascii_letters, ascii_lowercase, digits
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async import (
    AccessKeys,
    BearerToken,
    Credentials,
    EffectsClient,
    PollPolicy,
    RetryPolicy,
    Service,
    Settings,
)
from kling_effects_async.emulator import Emulator
from kling_effects_async.errors import SettingsError


def test_no_key_names_the_variables_that_are_missing() -> None:
    with pytest.raises(
        SettingsError, match=r"KLING_API_KEY .*KLING_ACCESS_KEY and KLING_SECRET_KEY"
    ):
        Settings.from_env({})


def test_half_a_pair_names_the_other_half() -> None:
    with pytest.raises(SettingsError, match="KLING_SECRET_KEY is missing"):
        Settings.from_env({"KLING_ACCESS_KEY": "access-key"})
    with pytest.raises(SettingsError, match="KLING_ACCESS_KEY is missing"):
        Settings.from_env({"KLING_SECRET_KEY": "a", "KLING_API_KEY": "test-key"})


def test_a_bearer_token_means_the_gateway_and_a_pair_means_kling() -> None:
    assert Settings.from_env({"KLING_API_KEY": "test-key"}).service.name == "vapi"
    pair = {"KLING_ACCESS_KEY": "access-key", "KLING_SECRET_KEY": "secret-key"}
    assert Settings.from_env(pair).service.name == "official-singapore"


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("vapi", "https://api.gpt.ge"),
        ("singapore", "https://api-singapore.klingai.com"),
        ("beijing", "https://api-beijing.klingai.com"),
        ("https://gate.example/", "https://gate.example"),
        ("official:http://127.0.0.1:8787", "http://127.0.0.1:8787"),
    ],
)
def test_the_service_is_chosen_by_name_or_url(name: str, url: str) -> None:
    settings = Settings.from_env({"KLING_API_KEY": "test-key", "KLING_SERVICE": name})
    assert settings.service.base_url == url


@pytest.mark.parametrize("name", ["HTTPS://gate.example", " https://gate.example/\n"])
def test_a_services_url_is_read_as_people_paste_it(name: str) -> None:
    settings = Settings.from_env({"KLING_API_KEY": "test-key", "KLING_SERVICE": name})
    assert settings.service.base_url == "https://gate.example"


KLINGS_OWN = "api-key-kling-0123456789"


def test_klings_own_api_key_means_kling() -> None:
    """Fault 84: it is Kling's own key."""
    assert Settings.from_env({"KLING_API_KEY": KLINGS_OWN}).service.name == "official-singapore"
    assert EffectsClient(BearerToken(KLINGS_OWN)).service.name == "official-singapore"


@pytest.mark.parametrize(
    "service", [Service.vapi(), Service.gateway("https://gate.example")], ids=lambda s: s.name
)
def test_klings_own_key_is_shown_to_nobody_else(service: Service) -> None:
    """Fault 84: rejected before anything is sent, and not shown."""
    with pytest.raises(SettingsError, match="Kling's own") as caught:
        EffectsClient(BearerToken(KLINGS_OWN), service=service)
    assert "0123456789" not in str(caught.value)
    name = "vapi" if service.name == "vapi" else service.base_url
    with pytest.raises(SettingsError, match="Kling's own"):
        Settings.from_env({"KLING_API_KEY": KLINGS_OWN, "KLING_SERVICE": name})


def test_klings_own_key_goes_to_klings_own_hosts() -> None:
    settings = Settings.from_env({"KLING_API_KEY": KLINGS_OWN, "KLING_SERVICE": "beijing"})
    assert settings.service.name == "official-beijing"
    EffectsClient(BearerToken(KLINGS_OWN), service=Service.official(base_url="http://127.0.0.1:1"))


ONE_GATEWAY = [
    "https://gw.example",
    "HTTPS://GW.Example",
    "https://gw.example:443",
    "https://gw.example:0443/",
    "https://gw.example:",
    "https://gw.example.",
    "https://gw.example.:443//",
    "https://gw.example/?",
    "https://gw.example/#",
    " https://gw.example?#\n",
    "https://gw\u3002example",
]


@pytest.mark.parametrize("url", ONE_GATEWAY)
def test_a_service_spelled_differently_is_the_same_service(url: str) -> None:
    assert Service.gateway(url) == Service.gateway("https://gw.example")


@pytest.mark.parametrize(
    ("url", "one_spelling"),
    [
        ("http://LOCALHOST:08787", "http://localhost:8787"),
        ("http://localhost:80", "http://localhost"),
        ("http://[0:0:0:0:0:0:0:1]:80/", "http://[::1]"),
        ("https://B\u00dcCHER.example", "https://xn--bcher-kva.example"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://gw.example/%7Ea/%c3%a9/", "https://gw.example/~a/%C3%A9"),
        ("https://gw.example/~a/\u00e9", "https://gw.example/~a/%C3%A9"),
        ("https://gw.example:8443/Kling", "https://gw.example:8443/Kling"),
    ],
)
def test_an_address_has_one_spelling(url: str, one_spelling: str) -> None:
    assert Service.gateway(url).base_url == one_spelling
    assert Service.gateway(one_spelling).base_url == one_spelling


def test_an_account_has_one_name_however_its_service_is_spelled() -> None:
    clients = [
        EffectsClient(BearerToken("test-key"), service=Service.gateway(url)) for url in ONE_GATEWAY
    ]
    assert len({client.account for client in clients}) == 1


def test_another_port_path_or_scheme_is_another_service() -> None:
    others = ["https://gw.example:8443", "https://gw.example/a", "http://gw.example"]
    services = [Service.gateway(url, allow_plain_http=True) for url in [*others, *ONE_GATEWAY]]
    assert len({service.base_url for service in services}) == 4


@pytest.mark.parametrize(
    "url",
    [
        "https://ex ample.com",
        "https://gw.example/a b",
        "https://gw.example/a\tb",
        "https://gw.example/a\\b",
        "https://gw.example/{id}",
        "https://gw.example/%zz",
        "https://gw.example/../b",
        "https://gw.example/%2e%2e/b",
        "https://gw%2Eexample",
        "https://gw..example",
        "https://*",
        "https://.",
        "https://gw.example\u200b.org",
        "https://\ud800.example",
        "https://gw.example:99999",
        "https://gw.example:0",
        "",
    ],
)
def test_what_is_no_address_is_no_service(url: str) -> None:
    with pytest.raises(SettingsError, match="base_url must be an http"):
        Service.gateway(url)


def test_an_empty_address_never_means_klings_own_host() -> None:
    with pytest.raises(SettingsError, match="base_url must be"):
        Service.named("official:")


@pytest.mark.parametrize("wrong", [None, b"https://gw.example", 5])
def test_a_service_is_made_of_texts(wrong: Any) -> None:
    with pytest.raises(TypeError, match="base_url must be a str such as https"):
        Service.gateway(wrong)
    with pytest.raises(TypeError, match="name must be a str"):
        Service.gateway("https://gw.example", name=wrong)
    with pytest.raises(TypeError, match="name must be a str"):
        Service.named(wrong)


@pytest.mark.parametrize(
    "pasted",
    [
        BearerToken(f"KLING_API_KEY={KLINGS_OWN}"),
        BearerToken(f"x{KLINGS_OWN.upper()}"),
        AccessKeys(KLINGS_OWN, "secret-key"),
        AccessKeys("access-key", KLINGS_OWN),
    ],
)
def test_klings_own_key_is_known_wherever_it_stands(pasted: Credentials) -> None:
    """Fault 84: a signed token names its access key readably."""
    assert EffectsClient(pasted).service.is_kling
    with pytest.raises(SettingsError, match="Kling's own") as caught:
        EffectsClient(pasted, service=Service.gateway("https://gw.example"))
    assert "0123456789" not in str(caught.value)


def test_other_access_keys_may_go_to_a_gateway() -> None:
    service = Service.gateway("https://gw.example")
    assert EffectsClient(AccessKeys("access-key", "secret-key"), service=service).service == service


def test_an_unknown_service_is_rejected_with_the_choices() -> None:
    with pytest.raises(SettingsError, match="must be vapi, singapore, beijing or"):
        Settings.from_env({"KLING_API_KEY": "test-key", "KLING_SERVICE": "tokyo"})


def test_toml_is_read_like_the_environment() -> None:
    settings = Settings.from_toml('[kling]\napi_key = "test-key"\nservice = "beijing"\n')
    assert settings.credentials == BearerToken("test-key")
    assert settings.service.name == "official-beijing"


@pytest.mark.parametrize("text", ["[kling", 'api_key = "top-secret', "[kling]\napi_key = 7"])
def test_bad_toml_is_rejected_without_showing_it(text: str) -> None:
    """Fault 67: secrets in errors."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_toml(text)
    assert "top-secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["", " k", "k\n", "kä", "a\x00b"])
def test_a_key_with_something_around_it_is_rejected_and_not_shown(key: str) -> None:
    with pytest.raises(SettingsError, match="must be the key alone"):
        BearerToken(key)


def test_no_repr_shows_a_key() -> None:
    """Fault 67: secrets in a repr."""
    assert "top-secret" not in repr(BearerToken("top-secret-key"))
    assert "top-secret" not in repr(AccessKeys("top-secret-1-key", "top-secret-2-key"))
    assert "top-secret" not in repr(Settings.from_env({"KLING_API_KEY": "top-secret-key"}))


@pytest.mark.parametrize("wrong", [None, b"top-secret", 5])
def test_a_key_that_is_no_text_is_rejected_by_its_type(wrong: Any) -> None:
    for make, name in (
        (lambda: BearerToken(wrong), "token"),
        (lambda: AccessKeys(wrong, "secret-key"), "access_key"),
        (lambda: AccessKeys("access-key", wrong), "secret_key"),
    ):
        with pytest.raises(TypeError, match=f"{name} must be a str, not ") as caught:
            make()
        assert "top-secret" not in str(caught.value)


@pytest.mark.parametrize("value", [0, -1])
def test_a_policy_rejects_what_cannot_be(value: int) -> None:
    with pytest.raises(SettingsError, match="attempts must be a number above 0"):
        RetryPolicy(attempts=value)
    with pytest.raises(SettingsError, match="deadline_s must be a number above 0"):
        PollPolicy(deadline_s=value)


@pytest.mark.parametrize("value", [10**400, float("nan"), "5", None, True])
def test_no_policy_takes_seconds_that_no_clock_can_count(value: Any) -> None:
    for policy, name in ((PollPolicy, "deadline_s"), (RetryPolicy, "submit_timeout_s")):
        with pytest.raises(SettingsError, match=f"{name} must be a number above 0"):
            policy(**{name: value})


def test_a_wait_may_be_endless_and_a_request_may_not() -> None:
    endless: Any = float("inf")
    assert PollPolicy(deadline_s=float("inf")).deadline_s == float("inf")
    for name in ("connect_timeout_s", "answer_timeout_s", "submit_timeout_s"):
        with pytest.raises(SettingsError, match=f"{name} must be a finite number"):
            RetryPolicy(**{name: endless})


def test_a_floor_above_its_ceiling_is_rejected() -> None:
    with pytest.raises(SettingsError, match="must not be above max_interval_s"):
        PollPolicy(shortest_s=20, max_interval_s=10)


WORDS = (
    "video 0 a task test task_status 111111111111 succeeded SUCCEED Succeeded image2video "
    "task-id request-id X-Request-Id Content-Type x-api-key kling-v1-6 v1/videos/effects 127.0.0.1 "
    "127.0.0.1:8080 api.klingai.com my-test-value"
).split()


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_the_wire_is_rejected_as_a_key(word: str) -> None:
    """Fault 94."""
    for made in (lambda: BearerToken(word), lambda: AccessKeys("access-key", word)):
        with pytest.raises(SettingsError, match=r"a word or a number.*sk-"):
            made()
    with pytest.raises(ValueError, match=r"bearer_keys must hold.*a word or a number"):
        Emulator(bearer_keys=[word])


@given(
    st.one_of(
        st.text(ascii_letters + digits, min_size=32, max_size=64),
        st.text(ascii_lowercase + digits, min_size=32, max_size=32).map("sk-{}".format),
        st.sampled_from(["sk-tests", "test-key", "emulator-key", "api-key-kling-1", "aB3dE5gH"]),
    )
)
def test_no_real_key_is_rejected(key: str) -> None:
    assert BearerToken(key).token == AccessKeys(key, key).secret_key == key
