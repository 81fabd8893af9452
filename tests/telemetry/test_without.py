"""A client without telemetry imports nothing of OpenTelemetry, and one that asks is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kling_effects_async import BearerToken, EffectsClient, Telemetry

WHOLE_LIFE = """
import asyncio, sys
from kling_effects_async import EffectsClient, PollPolicy, SingleImageEffect
from kling_effects_async.emulator import Clips, Emulator

async def main():
    async with Emulator(speed=600, clips=Clips.STOCK) as emulator:
        async with emulator.client(poll=PollPolicy(shortest_s=0.05)) as client:
            effect = SingleImageEffect("squish", image="https://i.example/a.jpg")
            result = await client.run(effect)
            assert [outcome async for outcome in client.run_many([effect])]

asyncio.run(main())
print([name for name in sys.modules if name.startswith("opentelemetry") or ".telemetry" in name])
"""
NOT_INSTALLED = """
import sys
sys.modules["opentelemetry"] = None
from kling_effects_async import EffectsClient, SettingsError, Telemetry
try:
    Telemetry()
except SettingsError as error:
    print(error)
"""


def printed(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_client_without_telemetry_imports_nothing_of_it() -> None:
    assert printed(WHOLE_LIFE) == "[]"


def test_where_it_is_not_installed_the_error_names_the_extra() -> None:
    assert 'pip install "kling-effects-async[otel]"' in printed(NOT_INSTALLED)


def test_what_is_no_telemetry_is_rejected() -> None:
    with pytest.raises(TypeError, match=r"telemetry must be a Telemetry\(\)"):
        EffectsClient(BearerToken("sk-test"), telemetry=print)  # type: ignore[arg-type]


async def test_without_a_provider_it_does_nothing() -> None:
    """The global providers of the API do nothing until an application sets others."""
    async with EffectsClient(BearerToken("sk-test"), telemetry=Telemetry()) as client:
        assert client.account
