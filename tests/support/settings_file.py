"""A user's settings file, where the command line of the tests looks for it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["settings_path", "write_settings"]


def settings_path(folder: Path) -> Path:
    """Where ``kling`` with this folder looks."""
    return folder / "home" / "config" / "kling-effects" / "config.toml"


def write_settings(folder: Path, text: str) -> Path:
    """Write the file, so that nobody else can read it."""
    path = settings_path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    return path
