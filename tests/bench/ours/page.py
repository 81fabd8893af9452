"""A full page of the task list, read into values."""

from __future__ import annotations

from kling_effects_async.protocol.messages import Reply
from kling_effects_async.protocol.task_list import read_page
from tests.bench.full_page import full_page, page_figures
from tests.bench.orders import Figures, Order

__all__ = ["measure"]


async def measure(order: Order, _url: str) -> list[Figures]:
    """``page_ms``: the time for one page."""
    headers = {"content-type": "application/json"}
    reply = Reply(status=200, headers=headers, body=full_page(order.count))

    def read() -> int:
        return len(read_page(reply, page_size=order.count))

    return [page_figures(read, order)]
