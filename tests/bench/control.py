"""What a measured client asks the benchmark's server outside of the measured stretch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from statistics import fmean, quantiles
from typing import Any
from urllib.request import urlopen

from tests.bench.orders import Figures

__all__ = ["facts", "request_figures", "reset"]

_TIMEOUT_S = 60.0


async def reset(url: str) -> None:
    """Let the server forget all tasks and count from 0."""
    await asyncio.to_thread(_get, f"{url}/bench/reset")


async def facts(url: str) -> dict[str, Any]:
    """What the server counted since the last ``reset``."""
    return await asyncio.to_thread(_get, f"{url}/bench/facts")


async def request_figures(url: str, known_at: Mapping[str, float]) -> Figures:
    """Requests, and how late the client knew.

    Args:
        known_at: when the caller had each task's result in its hands, by the monotonic clock.
    """
    counted = await facts(url)
    ends: dict[str, float] = counted["ends"]
    if ends.keys() != known_at.keys():
        raise RuntimeError(f"{len(ends)} tasks were accepted, {len(known_at)} results came")
    lags_s = [known_at[task_id] - ended_at for task_id, ended_at in ends.items()]
    return {
        "requests": counted["requests"],
        "queries": counted["queries"],
        "pages": counted["pages"],
        "rejections": counted["rejections"],
        "server_cpu_s": counted["server_cpu_s"],
        "lag_mean_s": fmean(lags_s),
        "lag_p95_s": quantiles(lags_s, n=20)[-1] if len(lags_s) > 1 else lags_s[0],
    }


def _get(url: str) -> dict[str, Any]:
    with urlopen(url, timeout=_TIMEOUT_S) as response:
        document: dict[str, Any] = json.load(response)
    return document
