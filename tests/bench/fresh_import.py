"""How long a fresh interpreter takes for an import statement."""

from __future__ import annotations

import asyncio
import os
import sys
from statistics import median

from tests.bench.orders import Figures

__all__ = ["import_figures"]


async def import_figures(statement: str, times: int) -> Figures:
    """``import_ms`` and its CPU time: the medians; one more at first fills the caches of files."""
    taken = [await _import_ms(statement) for _ in range(times + 1)][1:]
    walls_ms, cpus_ms = zip(*taken, strict=True)
    return {"import_ms": median(walls_ms), "import_cpu_ms": median(cpus_ms)}


async def _import_ms(statement: str) -> tuple[float, float]:
    code = (
        "from time import perf_counter, process_time as cpu; wall_s = perf_counter(); cpu_s = cpu()"
        f"; {statement}; print(perf_counter() - wall_s, cpu() - cpu_s)"
    )
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", code], env=_environment(), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    wall_s, cpu_s = map(float, out.splitlines()[-1].split())  # a command may print before
    return wall_s * 1000, cpu_s * 1000


def _environment() -> dict[str, str]:
    """Bytecode is kept, as pip keeps it of what it installs; both sides have it then."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
