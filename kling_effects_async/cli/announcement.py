"""What ``emulate`` prints once it listens: how other programs reach it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from kling_effects_async.cli.streams import NotPrinted, write_out
from kling_effects_async.cli.talk import say
from kling_effects_async.emulator import Emulator

__all__ = ["announce"]


def announce(emulator: Emulator, *, as_json: bool) -> None:
    """Print what to export for the gateway's path, and for Kling's own with its pair of keys."""
    access_key, secret_key = next(iter(emulator.settings.access_keys.items()))
    gateway = {
        "KLING_SERVICE": emulator.url,
        "KLING_API_KEY": emulator.api_key,
    }
    official = {
        "KLING_SERVICE": f"official:{emulator.url}",
        "KLING_ACCESS_KEY": access_key,
        "KLING_SECRET_KEY": secret_key,
    }
    if as_json:
        told = json.dumps({"url": emulator.url, "environment": gateway, "official": official})
    else:
        told = f"{_export(gateway)}\n# or, for Kling's own path: {_export(official)}"
    try:
        write_out(told)
        where = "a line above"
    except NotPrinted:  # it can be used all the same
        where = _export(gateway)
    say(f"emulator at {emulator.url}; in another shell run {where}; Ctrl-C ends it")


def _export(environment: Mapping[str, str]) -> str:
    return "export " + " ".join(f"{k}={shlex.quote(v)}" for k, v in environment.items())
