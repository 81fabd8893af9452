"""The package alone, and the package with its client, imported by a fresh interpreter."""

from __future__ import annotations

from tests.bench.fresh_import import import_figures
from tests.bench.orders import Figures, Order

__all__ = ["measure"]


async def measure(order: Order, _url: str) -> list[Figures]:
    """``import_ms`` and ``import_cpu_ms`` of each."""
    statements = ("import kling_effects_async", "from kling_effects_async import EffectsClient")
    return [await import_figures(statement, order.count) for statement in statements]
