"""Which addresses a video may come from: the rule, and the resolver that cannot be fooled later."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer
from hypothesis import example, given
from hypothesis import strategies as st

from kling_effects_async.downloading.addresses import AddressRule, is_public
from kling_effects_async.downloading.web import CheckedResolver, open_session, parse
from kling_effects_async.errors import DownloadError, SettingsError

EMULATOR = "http://127.0.0.1:8787"
NOT_PUBLIC = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
]
INSIDE = ["10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"]
PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001::1"]


class Names(AbstractResolver):
    """Resolves every name to what the test says, one list after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        if not self.answers:
            raise OSError(socket.EAI_NONAME, "Name or service not known")
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0
            )
            for address in self.answers.pop(0)
        ]

    async def close(self) -> None:
        """Nothing is held."""


def in_6to4(v4: str) -> str:
    return socket.inet_ntop(socket.AF_INET6, b"\x20\x02" + socket.inet_aton(v4) + bytes(10))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_of_this_machine_or_network_is_not_public(address: str) -> None:
    """Fault 47."""
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("form", ["::ffff:{}", "64:ff9b::{}", "6to4"])
@pytest.mark.parametrize(
    ("v4", "expected"), [("127.0.0.1", False), ("169.254.169.254", False), ("8.8.8.8", True)]
)
def test_ipv4_inside_ipv6_is_judged_as_where_it_leads(form: str, v4: str, expected: bool) -> None:
    """Fault 47."""
    address = in_6to4(v4) if form == "6to4" else form.format(v4)
    assert is_public(address) is expected


@given(st.sampled_from(INSIDE).flatmap(lambda network: st.ip_addresses(v=4, network=network)))
def test_no_special_ipv4_address_is_public_in_any_disguise(ip: object) -> None:
    """Fault 47."""
    disguises = [str(ip), f"::ffff:{ip}", f"64:ff9b::{ip}", in_6to4(str(ip))]
    assert not any(map(is_public, disguises))


@pytest.mark.parametrize(
    "url",
    [
        "http://videos.example/a.mp4",
        "file:///etc/passwd",
        "ftp://videos.example/a.mp4",
        "//videos.example/a.mp4",
        "https:///a.mp4",
        "",
        "https://videos.example:80/a.mp4",
        "https://videos.example:8443/a.mp4",
        "https://user:secret@videos.example/a.mp4",
        "https://@videos.example/a.mp4",
        "https://127.0.0.1/a.mp4",
        "https://127.0.0.1./a.mp4",
        "https://127.1/a.mp4",
        "https://2130706433/a.mp4",
        "https://0177.0.0.1/a.mp4",
        "https://0x7f000001/a.mp4",
        "https://127.0.0.0X1./a.mp4",
        "https://[::1]/a.mp4",
        "https://[::ffff:169.254.169.254]/a.mp4",
        "https://[fe80::1%25eth0]/a.mp4",
        "https://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:8788/a.mp4",
        "http://127.0.0.2:8787/a.mp4",
        "http://user@127.0.0.1:8787/a.mp4",
        "https://127.0.0.1:8787/a.mp4",
    ],
)
def test_an_address_that_is_not_https_public_and_bare_is_rejected(url: str) -> None:
    """Fault 47."""
    with pytest.raises(DownloadError):
        AddressRule(EMULATOR).check(parse(url))


@pytest.mark.parametrize(
    "url",
    [
        "https://videos.example/a.mp4",
        "HTTPS://Videos.Example:443/a.mp4?Signature=a%2Fb",
        "https://93.184.216.34/a.mp4",
        "https://[2606:4700:4700::1111]/a.mp4",
        "http://127.0.0.1:8787/a.mp4",
    ],
)
def test_public_https_and_the_allowed_origin_pass(url: str) -> None:
    AddressRule(EMULATOR).check(parse(url))


def test_without_an_allowed_origin_loopback_is_rejected() -> None:
    """Fault 47."""
    with pytest.raises(DownloadError, match="https"):
        AddressRule(None).check(parse("http://127.0.0.1:8787/a.mp4"))


@pytest.mark.parametrize(
    "origin", ["https://gate.corp:8443", "https://10.0.0.5:8443", "https://gate", "https://[::1]"]
)
async def test_the_chosen_origin_may_be_on_any_port_and_lead_anywhere(origin: str) -> None:
    """Fault 85: whom the caller asks for tasks may serve their clips, from inside as well."""
    rule = AddressRule(f"{origin}/v2")
    url = parse(f"{origin}/a.mp4")
    rule.check(url)
    rule.check_unresolved(url)
    rule.check_resolved(url.raw_host or "", url.port or 0, ["10.0.0.5"])
    other = parse(str(url.with_port(8444)))
    with pytest.raises(DownloadError):
        rule.check(other)


async def test_an_origin_is_the_same_however_it_is_spelt() -> None:
    AddressRule("https://Bücher.example:8443").check(
        parse("https://xn--bcher-kva.example:8443/a.mp4")
    )


@pytest.mark.parametrize("origin", ["127.0.0.1:8787", "emulator", "http://h:port", "ftp://h"])
def test_an_allowed_origin_that_is_none_is_a_settings_error(origin: str) -> None:
    with pytest.raises(SettingsError, match="http://127"):
        AddressRule(origin)


@given(
    st.text(max_size=40),
    st.sampled_from(
        ["", "https://", "https://a.example/", "http://[", "https://h:", "https://[::", "//", "h:"]
    ),
)
@example("99999/x", "https://h:")
@example("\udc80/x", "https://")
@example("xn--/", "https://")
def test_any_text_is_an_address_or_a_download_error(text: str, start: str) -> None:
    with suppress(DownloadError):
        AddressRule(EMULATOR).check(parse(start + text))
        AddressRule(EMULATOR).check_unresolved(parse(start + text))


@pytest.mark.parametrize("query", ["a%2Fb=%2B+c%20d", "Signature=x%3D%3D", "sig=a/b:c,d;e"])
def test_a_signed_address_is_kept_letter_for_letter(query: str) -> None:
    assert parse(f"https://videos.example/a%2Fb.mp4?{query}").raw_path_qs == f"/a%2Fb.mp4?{query}"


def test_what_cannot_be_sent_as_it_is_gets_quoted() -> None:
    assert parse("https://videos.example/\u00e4 b").raw_path == "/%C3%A4%20b"


def test_a_line_break_in_an_address_does_not_reach_the_wire() -> None:
    """Fault 96: it is rejected, and not made into another address."""
    with pytest.raises(DownloadError, match="holds the character"):
        parse("https://videos.example/a\r\nX-Injected: 1")


@pytest.mark.parametrize("found", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::1"]])
async def test_a_name_that_leads_inside_is_rejected_by_the_resolver(found: list[str]) -> None:
    """Fault 48."""
    resolver = CheckedResolver(AddressRule(EMULATOR), Names(found))
    with pytest.raises(DownloadError, match=r"videos\.example leads to"):
        await resolver.resolve("videos.example", 443)


async def test_a_name_is_judged_each_time_it_is_resolved() -> None:
    """Fault 48."""
    resolver = CheckedResolver(AddressRule(None), Names(["8.8.8.8"], ["127.0.0.1"]))
    assert (await resolver.resolve("videos.example", 443))[0]["host"] == "8.8.8.8"
    with pytest.raises(DownloadError):
        await resolver.resolve("videos.example", 443)


async def test_the_allowed_origin_may_lead_anywhere_on_its_own_port_only() -> None:
    """Fault 47."""
    resolver = CheckedResolver(
        AddressRule("http://emulator:8787"), Names(["172.17.0.2"], ["172.17.0.2"])
    )
    assert (await resolver.resolve("emulator", 8787))[0]["host"] == "172.17.0.2"
    with pytest.raises(DownloadError):
        await resolver.resolve("emulator", 443)


@pytest.mark.parametrize("fakes", [["198.18.0.84"], ["198.18.0.84", "fc00::54"], ["fc00::54"]])
async def test_a_resolver_that_makes_up_addresses_for_all_names_is_believed(
    fakes: list[str],
) -> None:
    """Fault 85: it even has one for a name that nobody has registered."""
    names = Names(fakes, fakes, fakes)
    resolver = CheckedResolver(AddressRule(None), names)
    for _ in range(2):
        found = await resolver.resolve("videos.example", 443)
        assert [each["host"] for each in found] == fakes
    first, nobody, second = names.asked
    assert first == second == "videos.example"
    assert len(nobody) > 30


@pytest.mark.parametrize("nobody", [["93.184.216.34"], ["10.0.0.1"], ["fc00::1"], []])
async def test_a_stranger_s_name_in_that_network_is_rejected(nobody: list[str]) -> None:
    """Fault 48: without such a resolver, the network is somebody's inside."""
    answers = [["198.18.0.84"], nobody] if nobody else [["198.18.0.84"]]
    resolver = CheckedResolver(AddressRule(None), Names(*answers))
    with pytest.raises(DownloadError, match=r"198\.18\.0\.84"):
        await resolver.resolve("videos.example", 443)


@pytest.mark.parametrize(
    "found", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "fd00::1", "fc00::1"]
)
async def test_a_made_up_answer_excuses_no_other_address(found: str) -> None:
    """Fault 48: rebinding is noticed behind such a resolver as well."""
    names = Names(["198.18.0.84"], ["198.18.0.85"], [found])
    resolver = CheckedResolver(AddressRule(None), names)
    await resolver.resolve("videos.example", 443)
    with pytest.raises(DownloadError):
        await resolver.resolve("rebound.example", 443)


async def test_an_answer_in_part_made_up_is_judged_by_the_rest() -> None:
    """Fault 48."""
    resolver = CheckedResolver(
        AddressRule(None), Names(["198.18.0.84", "10.0.0.1"], ["198.18.0.85"])
    )
    with pytest.raises(DownloadError, match=r"10\.0\.0\.1"):
        await resolver.resolve("videos.example", 443)


def test_an_address_of_that_network_is_rejected_where_it_is_spelt_out() -> None:
    """Fault 47: nobody resolved it."""
    with pytest.raises(DownloadError, match=r"198\.18\.0\.84"):
        AddressRule(None).check(parse("https://198.18.0.84/a.mp4"))


async def test_a_name_that_cannot_be_asked_for_is_a_download_error() -> None:
    """Fault 80: the system's resolver raises UnicodeError."""
    resolver = CheckedResolver(AddressRule(None))
    with pytest.raises(DownloadError, match="not the name of a host"):
        await resolver.resolve("a" * 300, 443)


async def test_the_session_connects_to_what_the_checked_resolver_says() -> None:
    """Fault 48: no other look-up happens between the check and the connection."""
    asked: list[str] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    app = web.Application()
    app.router.add_get("/{path:.*}", note)
    async with (
        TestServer(app) as server,
        open_session(AddressRule(None), read_bufsize=2**16) as session,
    ):
        with pytest.raises(DownloadError, match="localhost leads to"):
            await session.get(f"http://localhost:{server.port}/a.mp4")
    assert asked == []


async def test_the_session_keeps_no_cookies_and_names_no_one() -> None:
    """Fault 47: what one server sets, or the environment holds, no other server gets."""
    seen: list[web.Request] = []

    async def set_cookie(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(headers={"Set-Cookie": "id=1"})

    app = web.Application()
    app.router.add_get("/", set_cookie)
    async with TestServer(app) as server:
        url = f"http://localhost:{server.port}/"
        async with open_session(AddressRule(url), read_bufsize=2**16) as session:
            for _ in range(2):
                await (await session.get(url)).read()
    assert len(seen) == 2
    assert not any({"Cookie", "Authorization"} & set(request.headers) for request in seen)
