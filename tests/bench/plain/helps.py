"""What rich-click takes, in a fresh interpreter.

With the half of itself that draws: it imports that only for the first help.
"""

from __future__ import annotations

from tests.bench.fresh_import import import_figures
from tests.bench.orders import Figures, Order

__all__ = ["measure"]


async def measure(order: Order, _url: str) -> list[Figures]:
    """``import_ms`` and ``import_cpu_ms``."""
    return [await import_figures("import rich_click, rich_click.rich_help_rendering", order.count)]
