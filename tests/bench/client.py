"""A measured process: does one order, and prints its figures as JSON.

python -m tests.bench.client ORDER URL [--uvloop]
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from importlib import import_module

from tests.bench.loops import runner
from tests.bench.orders import Figures, Order

Measure = Callable[[Order, str], Awaitable[list[Figures]]]


async def _bounded(measure: Measure, order: Order, url: str) -> list[Figures]:
    async with asyncio.timeout(order.longest_run_s):
        return await measure(order, url)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("order", type=Order.from_json)
    parser.add_argument("url")
    parser.add_argument("--uvloop", action="store_true")
    given = parser.parse_args()
    order: Order = given.order
    measure: Measure = import_module(f"tests.bench.{order.side}.{order.kind}").measure
    with runner(is_uvloop=given.uvloop) as run:
        print(json.dumps(run.run(_bounded(measure, order, given.url))))


if __name__ == "__main__":
    main()
