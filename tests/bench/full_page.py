"""A page with as many tasks as the service puts on one, half of them ended."""

from __future__ import annotations

from collections.abc import Callable

from tests.bench.meter import Meter
from tests.bench.orders import Figures, Order
from tests.bench.tasks_served import ServedTasks
from tests.bench.work import image_url

__all__ = ["full_page", "page_figures"]

_PAGES = 50


def full_page(count: int) -> bytes:
    """The body of the answer."""
    tasks = ServedTasks(slots=None)
    for number in range(count):
        image = image_url(number, 0.0 if number % 2 else 3600.0)
        tasks.accept({"input": {"image": image}, "external_task_id": f"keb-{number:032}"})
    return tasks.page(1, count)[1]


def page_figures(read: Callable[[], int], order: Order) -> Figures:
    """``page_ms``: what one call of ``read`` takes."""
    read()  # makes what is made at first use
    with Meter(is_profiled=order.is_profiled) as meter:
        for _ in range(_PAGES):
            if read() != order.count:
                raise RuntimeError("the page was not read whole")
    return {"page_ms": 1000 * meter.figures["cpu_s"] / _PAGES, "peak_mb": meter.figures["peak_mb"]}
