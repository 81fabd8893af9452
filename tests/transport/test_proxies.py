"""The way through a proxy: which one is taken, what it hears, and what never leaves for it."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async import (
    BearerToken,
    DownloadError,
    EffectsClient,
    KlingEffectsError,
    NetworkError,
    PollPolicy,
    ProxyError,
    RetryPolicy,
    Service,
    SettingsError,
    SingleImageEffect,
    SubmissionUncertainError,
    Video,
)
from kling_effects_async.downloading.downloader import Downloader
from kling_effects_async.emulator import Clips, Emulator
from kling_effects_async.testing import ManualClock
from kling_effects_async.transport.proxies import Proxies, Proxy
from tests.support.command_line import kling
from tests.support.proxy_server import ProxyServer

SQUISH = SingleImageEffect("squish", image="https://img.example/a.jpg")
FAR = Service.gateway("https://gateway.example")
ONE_TRY = RetryPolicy(attempts=1)
# "user:p@ss w" as RFC 3986 wants it, and as Proxy-Authorization.
PAIR, BASIC = "user:p%40ss%20w", "Basic dXNlcjpwQHNzIHc="


@pytest.fixture
async def proxy() -> AsyncIterator[ProxyServer]:
    async with ProxyServer() as running:
        yield running


def chosen(environ: Mapping[str, str], url: str) -> str | None:
    found = Proxies.of(None, environ).proxy_for(url)
    return None if found is None else found.url


# -- which proxy


@pytest.mark.parametrize(
    ("environ", "url", "expected"),
    [
        ({"HTTPS_PROXY": "http://p:1"}, "https://a.example", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://a.example", None),
        ({"http_proxy": "http://p:1"}, "http://a.example", "http://p:1"),
        ({"https_proxy": "http://low:1", "HTTPS_PROXY": "http://p:1"}, "https://a", "http://low:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://p:1"}, "https://a.example", None),
        ({"ALL_PROXY": "http://p:1"}, "https://a.example", "http://p:1"),
        ({"ALL_PROXY": "socks5://s:1", "HTTPS_PROXY": "http://p:1"}, "https://a", "http://p:1"),
        ({"HTTPS_PROXY": "p.example:3128"}, "https://a.example", "http://p.example:3128"),
        ({"HTTPS_PROXY": "http://[::1]:3128"}, "https://a.example", "http://[::1]:3128"),
        ({"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, "http://a.example", None),
        ({"http_proxy": "http://p:1", "REQUEST_METHOD": "GET"}, "http://a", "http://p:1"),
        ({}, "https://a.example", None),
    ],
)
def test_the_environment_names_a_proxy_as_curl_reads_it(
    environ: Mapping[str, str], url: str, expected: str | None
) -> None:
    """Fault 85."""
    assert chosen(environ, url) == expected


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_direct"),
    [
        ("a.example", "https://a.example", True),
        ("A.Example", "https://a.example", True),
        ("a.example", "https://sub.a.example", True),
        (".a.example", "https://sub.a.example", True),
        ("*.a.example", "https://sub.a.example", True),
        ("a.example", "https://nota.example", False),
        ("b.example, a.example", "https://a.example", True),
        ("b.example a.example", "https://a.example", True),
        ("a.example:443", "https://a.example", True),
        ("a.example:8443", "https://a.example", False),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.1.2.3", "https://10.1.2.3:8443", True),
        ("fd00::/8", "https://[fd00::1]", True),
        ("*", "https://a.example", True),
        (",", "https://a.example", False),
        ("", "https://a.example", False),
    ],
)
def test_hosts_in_no_proxy_are_reached_without(no_proxy: str, url: str, is_direct: bool) -> None:
    """Fault 85."""
    environ = {"HTTPS_PROXY": "http://p:1", "NO_PROXY": no_proxy}
    assert (chosen(environ, url) is None) is is_direct
    by_hand = Proxies.of("http://p:1", {"no_proxy": no_proxy}).proxy_for(url)
    assert (by_hand is None) is is_direct


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "x.localhost", "localhost."])
def test_this_machine_is_reached_through_a_chosen_proxy_alone(host: str) -> None:
    """Fault 85: an emulator on loopback works wherever HTTP_PROXY is set."""
    environ = {"http_proxy": "http://p:1"}
    assert chosen(environ, f"http://{host}:8787") is None
    assert Proxies.of("http://p:1", environ).proxy_for(f"http://{host}:8787") is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "proxy.example:3128",
        "socks5://p:1",
        "ftp://p:1",
        "http://",
        "http://:3128",
        "http://[oops",
        "http://p:99999",
        "http://p:0",
        "http://user:topsecret@",
        "http://user:topsecret@p q:1",
        "http://\udc80:topsecret@p:1",
    ],
)
def test_bad_text_for_a_proxy_is_a_settings_error_at_once(text: str) -> None:
    """Fault 85."""
    with pytest.raises(SettingsError, match=r"proxy.*http://") as caught:
        EffectsClient(BearerToken("test-key"), proxy=text)
    told = "".join(traceback.format_exception(caught.value))
    assert "topsecret" not in told.replace(repr(text), "")


@pytest.mark.parametrize("value", ["socks5://p:1", "http://[oops", "http://p:99999"])
def test_a_variable_that_cannot_be_used_is_named(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 85: going without would not be what the variable says."""
    monkeypatch.setenv("https_proxy", value)
    with pytest.raises(SettingsError, match=r"https_proxy.*NO_PROXY"):
        EffectsClient(BearerToken("test-key"), trust_env=True)
    EffectsClient(BearerToken("test-key"))


@given(st.text(), st.sampled_from(["", "http://", "http://u:p@", "http://["]))
def test_any_text_is_a_proxy_or_a_settings_error(text: str, start: str) -> None:
    """Fault 80."""
    try:
        found = Proxy.parse(start + text, "proxy")
    except SettingsError:
        return
    assert "@" not in found.url


def test_a_proxy_is_shown_without_its_password() -> None:
    """Fault 66."""
    proxies = Proxies.of("http://user:topsecret@p:1", {})
    proxy = proxies.proxy_for("https://a.example")
    assert proxy is not None
    assert proxy.authorization is not None
    shown = f"{proxies!r} {proxy!r} {proxy}"
    assert not any(secret in shown for secret in ("topsecret", "user", proxy.authorization))


# -- the API


async def test_the_api_is_asked_through_the_proxy(proxy: ProxyServer) -> None:
    """Fault 85."""
    async with Emulator(clips=Clips.STOCK) as emulator:
        async with emulator.client(proxy=proxy.url_with(PAIR)) as client:
            task = await client.submit(SQUISH)
        assert task.task_id
        (asked,) = proxy.asked
        assert asked.target == f"{emulator.url}/kling/v1/videos/effects"
    assert asked.headers["proxy-authorization"] == BASIC


async def test_a_tunnel_carries_the_key_and_the_proxy_does_not_see_it(proxy: ProxyServer) -> None:
    """Fault 66: what stands in a CONNECT is for the proxy, and nothing else is."""
    proxy.rejection = 403
    client = EffectsClient(BearerToken("sk-test-key"), service=FAR, proxy=proxy.url_with(PAIR))
    async with client:
        with pytest.raises(ProxyError):
            await client.list_tasks()
    (asked,) = proxy.asked
    assert (asked.method, asked.target) == ("CONNECT", "gateway.example:443")
    assert asked.headers["proxy-authorization"] == BASIC
    assert "authorization" not in asked.headers


async def test_the_environment_names_the_proxy_of_the_api(
    proxy: ProxyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 85."""
    proxy.rejection = 403
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    for trust_env, tunnels in ((False, 0), (True, 1)):
        far = Service.gateway("https://gateway.invalid")
        client = EffectsClient(
            BearerToken("test-key"), service=far, trust_env=trust_env, retry=ONE_TRY
        )
        async with client:
            with pytest.raises(KlingEffectsError):
                await client.list_tasks()
        assert len(proxy.asked) == tunnels


@pytest.mark.parametrize(
    ("url", "status", "is_passing"),
    [
        ("https://gateway.example", 407, False),
        ("https://gateway.example", 403, False),
        ("https://gateway.example", 502, True),
        ("http://127.0.0.1:1", 407, False),  # all other answers can be the service's own here
    ],
)
async def test_a_proxy_that_rejects_is_a_proxy_error_and_nothing_was_sent(
    proxy: ProxyServer, url: str, status: int, is_passing: bool
) -> None:
    """Fault 66."""
    proxy.rejection = status
    service = Service.gateway(url)
    client = EffectsClient(
        BearerToken("test-key"), service=service, proxy=proxy.url_with(PAIR), retry=ONE_TRY
    )
    async with client:
        with pytest.raises(ProxyError, match=str(status)) as caught:
            await client.submit(SQUISH)
    assert (caught.value.sent, caught.value.retryable) == (False, is_passing)
    assert proxy.url in str(caught.value)


@pytest.mark.parametrize(("status", "tries"), [(407, 1), (403, 1), (503, 3)])
async def test_a_failing_proxy_is_tried_again_and_one_that_rejects_is_not(
    proxy: ProxyServer, status: int, tries: int
) -> None:
    """Fault 66."""
    proxy.rejection = status
    soon = RetryPolicy(attempts=3, base_s=0.001)
    async with EffectsClient(
        BearerToken("test-key"), service=FAR, proxy=proxy.url, retry=soon
    ) as client:
        with pytest.raises(ProxyError):
            await client.list_tasks()
    assert len(proxy.asked) == tries


async def test_a_407_where_nobody_named_a_proxy_is_a_passing_proxy_error(
    proxy: ProxyServer,
) -> None:
    """Faults 66, 79: it is no word of the service's, and may be gone at the next try."""
    proxy.rejection = 407
    service = Service.gateway(proxy.url)
    async with EffectsClient(BearerToken("test-key"), service=service, retry=ONE_TRY) as client:
        with pytest.raises(ProxyError) as caught:
            await client.submit(SQUISH)
    assert (caught.value.sent, caught.value.retryable) == (False, True)


async def test_a_proxy_that_is_not_there_is_a_proxy_error() -> None:
    """Fault 66."""
    client = EffectsClient(
        BearerToken("test-key"), service=FAR, proxy="http://u:topsecret@127.0.0.1:1", retry=ONE_TRY
    )
    async with client:
        with pytest.raises(ProxyError, match=r"no connection to the proxy http://127") as caught:
            await client.submit(SQUISH)
    assert caught.value.sent is False


async def test_a_proxy_that_hangs_up_is_a_passing_proxy_error_and_nothing_was_sent(
    proxy: ProxyServer,
) -> None:
    """Fault 66: a CONNECT that is cut is no failure of the service."""
    proxy.hangs_up = True
    soon = RetryPolicy(attempts=3, base_s=0.001)
    client = EffectsClient(
        BearerToken("test-key"), service=FAR, proxy=proxy.url_with("someone:topsecret"), retry=soon
    )
    async with client:
        with pytest.raises(ProxyError, match=f"connection to the proxy {proxy.url}") as caught:
            await client.submit(SQUISH)
        assert (caught.value.sent, caught.value.retryable) == (False, True)
        assert len(proxy.asked) == 3
        with pytest.raises(ProxyError):
            await client.list_tasks()
    told = "".join(traceback.format_exception(caught.value))
    assert not any(secret in told for secret in ("someone", "topsecret"))


async def test_the_proxy_of_a_callers_own_session_that_hangs_up_is_told_as_well(
    proxy: ProxyServer,
) -> None:
    """Fault 66: nobody told us of it, and its password is not ours to show either."""
    proxy.hangs_up = True
    async with (
        aiohttp.ClientSession(proxy=proxy.url_with("someone:topsecret")) as http,
        EffectsClient(BearerToken("test-key"), service=FAR, session=http, retry=ONE_TRY) as client,
    ):
        with pytest.raises(ProxyError, match="connection to the proxy on the way") as caught:
            await client.submit(SQUISH)
    assert (caught.value.sent, caught.value.retryable) == (False, True)
    told = "".join(traceback.format_exception(caught.value))
    assert not any(secret in told for secret in ("someone", "topsecret"))


@pytest.fixture
async def absent() -> AsyncIterator[Service]:
    """A service that takes each request in, and hangs up."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            await reader.readuntil(b"}")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    yield Service.gateway(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    server.close()


async def test_a_service_that_hangs_up_behind_a_proxy_may_have_the_submit(
    proxy: ProxyServer, absent: Service
) -> None:
    """Fault 7: only what was cut before the first byte of a body surely did not arrive."""
    client = EffectsClient(BearerToken("test-key"), service=absent, proxy=proxy.url, retry=ONE_TRY)
    async with client:
        with pytest.raises(SubmissionUncertainError):
            await client.submit(SQUISH)
        with pytest.raises(ProxyError) as caught:
            await client.list_tasks()
    assert (caught.value.sent, caught.value.retryable) == (True, True)
    assert [asked.method for asked in proxy.asked].count("POST") == 1


async def test_a_service_that_hangs_up_where_there_is_no_proxy_is_no_proxy_error(
    absent: Service,
) -> None:
    """Fault 66."""
    async with EffectsClient(BearerToken("test-key"), service=absent, retry=ONE_TRY) as client:
        with pytest.raises(NetworkError, match="the connection to gateway"):
            await client.list_tasks()


@pytest.mark.looptime
@pytest.mark.parametrize("rejection", [407, 502, None])
@pytest.mark.parametrize("hangs_up", [False, True])
async def test_the_password_of_a_proxy_is_nowhere(
    proxy: ProxyServer,
    rejection: int | None,
    hangs_up: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fault 66."""
    caplog.set_level("DEBUG")
    address = proxy.url_with("someone:topsecret") if rejection else "http://u:topsecret@127.0.0.1:1"
    proxy.rejection, proxy.hangs_up = rejection, hangs_up
    client = EffectsClient(BearerToken("test-key"), service=FAR, proxy=address, retry=ONE_TRY)
    shown = [repr(client), str(vars(client))]
    async with client:
        video = Video(url="https://videos.example/a.mp4")
        for call in (client.submit(SQUISH), client.download(video, tmp_path / "a.mp4")):
            with pytest.raises(KlingEffectsError) as caught:
                await call
            shown += traceback.format_exception(caught.value)
    said = "".join([*shown, *(line.getMessage() for line in caplog.records)])
    assert "topsecret" not in said
    assert "someone" not in said
    assert "c29tZW9uZTp0b3BzZWNyZXQ=" not in said  # the same in base64


async def test_the_command_line_uses_the_proxy_of_the_environment(
    proxy: ProxyServer, tmp_path: Path
) -> None:
    """Fault 85: there is no other way to tell it."""
    proxy.rejection = 403
    environ = {
        "KLING_API_KEY": "test-key",
        "KLING_SERVICE": "https://gateway.invalid",
        "https_proxy": proxy.url,
    }
    ended = await asyncio.to_thread(kling, "fetch", "123", folder=tmp_path, **environ)
    assert [asked.target for asked in proxy.asked] == ["gateway.invalid:443"]
    assert "proxy" in ended.err


# -- downloads


def downloader(proxies: Proxies, *, origin: str | None = None) -> Downloader:
    return Downloader(clock=ManualClock(), allowed_origin=origin, proxies=proxies, attempts=1)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/a.mp4",
        "https://[::1]/a.mp4",
        "https://169.254.169.254/latest/meta-data",
        "https://198.18.0.1/a.mp4",
        "https://2130706433/a.mp4",
        "https://127.0.0.0x1/a.mp4",
        "https://localhost/a.mp4",
        "https://LOCALHOST./a.mp4",
        "https://metadata.google.internal/a.mp4",
        "https://nas.local/a.mp4",
        "https://box.home.arpa/a.mp4",
        "https://intranet/a.mp4",
        "http://videos.example/a.mp4",
        "https://videos.example:8443/a.mp4",
    ],
)
async def test_what_leads_inside_by_its_spelling_never_reaches_the_proxy(
    proxy: ProxyServer, tmp_path: Path, url: str
) -> None:
    """Fault 47: the proxy resolves the names, so there is nothing else to look at."""
    fetching = downloader(Proxies.of(proxy.url, {}))
    with pytest.raises(DownloadError):
        await fetching.download(url, tmp_path / "a.mp4")
    await fetching.aclose()
    assert proxy.asked == []


async def test_a_video_is_asked_for_through_the_proxy_without_any_key(
    proxy: ProxyServer, tmp_path: Path
) -> None:
    """Fault 85: the proxy is on loopback, and no address of the video's is looked up here."""
    proxy.rejection = 403
    fetching = downloader(Proxies.of(proxy.url_with(PAIR), {}))
    with pytest.raises(DownloadError, match=r"the proxy http://127.*HTTP 403"):
        await fetching.download("https://videos.example/a.mp4?sign=topsecret", tmp_path / "a.mp4")
    await fetching.aclose()
    (asked,) = proxy.asked
    assert (asked.method, asked.target) == ("CONNECT", "videos.example:443")
    assert asked.headers["proxy-authorization"] == BASIC
    assert "topsecret" not in str(asked.headers)


async def test_a_proxy_may_be_a_name_of_this_machine_or_network(
    proxy: ProxyServer, tmp_path: Path
) -> None:
    """Fault 85: a video may not be; a proxy most often is."""
    proxy.rejection = 403
    fetching = downloader(Proxies.of(f"http://localhost:{proxy.port}", {}))
    with pytest.raises(DownloadError, match="HTTP 403"):
        await fetching.download("https://videos.example/a.mp4", tmp_path / "a.mp4")
    await fetching.aclose()
    assert len(proxy.asked) == 1


async def test_a_redirect_inside_is_rejected_behind_a_proxy_too(
    proxy: ProxyServer, tmp_path: Path
) -> None:
    """Fault 47."""
    inside = "http://10.0.0.1/a.mp4"
    redirect = f"HTTP/1.1 302 Found\r\nLocation: {inside}\r\nContent-Length: 0\r\n\r\n".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(redirect)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    fetching = downloader(Proxies.of(proxy.url, {}), origin=origin)
    with pytest.raises(DownloadError, match=r"10\.0\.0\.1"):
        await fetching.download(f"{origin}/a.mp4", tmp_path / "a.mp4")
    await fetching.aclose()
    server.close()
    assert [asked.target for asked in proxy.asked] == [f"{origin}/a.mp4"]


async def test_hosts_in_no_proxy_are_fetched_from_straight(
    proxy: ProxyServer, tmp_path: Path
) -> None:
    """Fault 85."""
    async with Emulator(clips=Clips.STOCK, speed=600) as emulator:
        client = emulator.client(proxy=proxy.url, poll=PollPolicy(shortest_s=0.05))
        async with client:
            result = await client.run(SQUISH)
        heard = len(proxy.asked)
        straight = downloader(Proxies.of(proxy.url, {"NO_PROXY": "127.0.0.1"}), origin=emulator.url)
        through = downloader(Proxies.of(proxy.url_with(PAIR), {}), origin=emulator.url)
        await straight.download(result.video.url, tmp_path / "straight.mp4")
        assert len(proxy.asked) == heard
        await through.download(result.video.url, tmp_path / "through.mp4")
        assert len(proxy.asked) == heard + 1
        assert proxy.asked[-1].headers["proxy-authorization"] == BASIC
        await straight.aclose()
        await through.aclose()
    assert (tmp_path / "straight.mp4").read_bytes() == (tmp_path / "through.mp4").read_bytes()
