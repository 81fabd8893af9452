"""What a help takes, in a fresh interpreter."""

from __future__ import annotations

from tests.bench.fresh_import import import_figures
from tests.bench.orders import Figures, Order

__all__ = ["COMMANDS", "measure"]

COMMANDS = ("", "jobs settle", "run", "emulate")


async def measure(order: Order, _url: str) -> list[Figures]:
    """``import_ms`` and ``import_cpu_ms`` of each."""
    return [await import_figures(_help_of(command), order.count) for command in COMMANDS]


def _help_of(command: str) -> str:
    arguments = ["kling-effects", *command.split(), "--help"]
    return f"import sys; sys.argv = {arguments}; from kling_effects_async.cli import main; main()"
