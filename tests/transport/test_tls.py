"""Over TLS with a certificate of our own: a gateway on its own port, straight and by a tunnel.

In a process of its own, because aiohttp reads the machine's certificates when it is imported.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.certificate import needs_openssl, self_signed
from tests.support.command_line import clean_environment
from tests.support.proxy_server import ProxyServer
from tests.support.video_server import VIDEO

pytestmark = needs_openssl

_PROGRAM = """
import asyncio, sys
from kling_effects_async import BearerToken, EffectsClient, Service, Video

async def main(url, target, proxy):
    service = Service.gateway(url)
    key = BearerToken("sk-tests")
    async with EffectsClient(key, service=service, proxy=proxy or None) as client:
        print(len(await client.list_tasks()))
        await client.download(Video(url=f"{url}/clip.mp4?sign=1"), target)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls") / "both.pem")


@pytest.fixture
async def gateway(certificate: Path) -> AsyncIterator[str]:
    """Serves an empty list of tasks and one clip, over https on a port of its own."""

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/clip.mp4":
            assert "Authorization" not in request.headers
            return web.Response(body=VIDEO, content_type="video/mp4")
        assert request.headers["Authorization"] == "Bearer sk-tests"
        return web.json_response({"code": 0, "data": []})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    yield f"https://localhost:{runner.addresses[0][1]}"
    await runner.cleanup()


async def run(url: str, target: Path, certificate: Path, proxy: str = "") -> tuple[int, str]:
    environ = clean_environment(
        target.parent, PYTHONPATH=os.pathsep.join(sys.path), SSL_CERT_FILE=str(certificate)
    )
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", _PROGRAM, url, str(target), proxy],
        env=environ,
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    _out, err = await process.communicate()
    return process.returncode or 0, err.decode()


async def test_a_gateway_on_its_own_https_port_serves_its_own_clips(
    gateway: str, certificate: Path, tmp_path: Path
) -> None:
    """Fault 85: on any port, and from inside the caller's network."""
    assert await run(gateway, tmp_path / "clip.mp4", certificate) == (0, "")
    assert (tmp_path / "clip.mp4").read_bytes() == VIDEO


async def test_the_api_and_the_clip_come_through_a_tunnel(
    gateway: str, certificate: Path, tmp_path: Path
) -> None:
    """Fault 85."""
    async with ProxyServer() as proxy:
        address = proxy.url_with("user:topsecret")
        assert await run(gateway, tmp_path / "clip.mp4", certificate, address) == (0, "")
        assert [asked.method for asked in proxy.asked] == ["CONNECT", "CONNECT"]
        assert {asked.target for asked in proxy.asked} == {gateway.removeprefix("https://")}
        assert all("proxy-authorization" in asked.headers for asked in proxy.asked)
    assert (tmp_path / "clip.mp4").read_bytes() == VIDEO


async def test_a_certificate_that_nobody_trusts_is_not_used(
    gateway: str, certificate: Path, tmp_path: Path
) -> None:
    """Fault 3."""
    nobody = tmp_path / "none.pem"
    nobody.write_text("")
    code, err = await run(gateway, tmp_path / "clip.mp4", nobody)
    assert code == 1
    assert "TlsError" in err
