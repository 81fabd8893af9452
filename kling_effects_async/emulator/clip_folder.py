"""Rendered clips as files that nobody else may read, bounded in bytes; the oldest go first."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

__all__ = ["ClipFolder"]


class ClipFolder:
    """A temporary folder. Every method blocks: call it in a thread."""

    def __init__(self, max_bytes: int) -> None:
        self._folder = TemporaryDirectory(prefix="kling-emulator-")
        self._max_bytes = max_bytes
        self._kept: deque[tuple[Path, int]] = deque()
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def keep(self, content: bytes) -> Path:
        """Write a clip down, and delete old ones as room is needed; the newest always stays."""
        with NamedTemporaryFile(dir=self._folder.name, suffix=".mp4", delete=False) as file:
            file.write(content)
        path = Path(file.name)
        with self._lock:
            self._kept.append((path, len(content)))
            self._kept_bytes += len(content)
            while self._kept_bytes > self._max_bytes and len(self._kept) > 1:
                self._delete_oldest()
        return path

    def clean_up(self) -> None:
        self._folder.cleanup()

    def _delete_oldest(self) -> None:
        path, size_bytes = self._kept.popleft()
        self._kept_bytes -= size_bytes
        path.unlink(missing_ok=True)
