"""What ``--version`` says."""

from __future__ import annotations

from importlib import metadata

__all__ = ["version"]


def version() -> str:
    """The name and the installed version."""
    try:
        return f"kling-effects {metadata.version('kling-effects-async')}"
    except metadata.PackageNotFoundError:
        return "kling-effects (not installed: run from its sources)"
