"""A full page of the task list, read into dictionaries."""

from __future__ import annotations

import json

from tests.bench.full_page import full_page, page_figures
from tests.bench.orders import Figures, Order

__all__ = ["measure"]


async def measure(order: Order, _url: str) -> list[Figures]:
    """``page_ms``: the time for one page."""
    body = full_page(order.count)

    def read() -> int:
        return len(json.loads(body)["data"])

    return [page_figures(read, order)]
