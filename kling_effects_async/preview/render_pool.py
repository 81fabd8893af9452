"""Render processes: at most two, each fed by a thread of its own through pipes.

Not ``multiprocessing``: its fresh processes import the caller's script again, and then a three-line
script without a ``__main__`` guard starts a second emulator instead of a render. ``worker`` is the
other end of the pipes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from kling_effects_async.preview.errors import RenderError
from kling_effects_async.preview.pipe import RenderJob, read_clip, write_job
from kling_effects_async.preview.quality import ClipQuality

__all__ = ["RenderPool", "can_render"]

# Measured on 2 cores: four clips take 9 s in one process, 5 s in two, 8 s in threads. More would
# take the cores that the caller's own work needs.
_MAX_WORKERS = 2
_NEEDED_PACKAGES = ("av", "numpy")
_COMMAND = (
    sys.executable,
    "-c",
    "from kling_effects_async.preview.worker import serve; serve()",
)


def can_render() -> bool:
    """Whether the packages of the extra ``emulator`` are installed. Looks for files, may block."""
    return all(find_spec(package) is not None for package in _NEEDED_PACKAGES)


class RenderPool:
    """Renders in other processes, which are started for the first jobs and ended by ``close``."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(
            max_workers=min(_MAX_WORKERS, os.cpu_count() or 1), thread_name_prefix="render"
        )
        self._of_thread = threading.local()
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._is_closed = False

    def submit(
        self, scene: str, images: list[bytes], duration_s: int, quality: ClipQuality
    ) -> Future[bytes]:
        """The clip, in a future that fails with ``RenderError`` for pictures that have none."""
        job = RenderJob(scene, images, duration_s, quality)
        return self._threads.submit(self._render, job)

    def close(self) -> None:
        """End the processes, whatever they are at. Blocks for some milliseconds."""
        with self._lock:
            self._is_closed = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in self._processes:
            _reap(process)

    def _render(self, job: RenderJob) -> bytes:
        process = self._process()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            write_job(process.stdin, job)
            return read_clip(process.stdout)
        except RenderError:
            raise  # the process is well and takes the next job
        except (OSError, EOFError, ValueError):
            del self._of_thread.process  # it died; the next job gets another
            raise

    def _process(self) -> subprocess.Popen[bytes]:
        """This thread's own process."""
        process: subprocess.Popen[bytes] | None = getattr(self._of_thread, "process", None)
        if process is None:
            process = self._of_thread.process = self._started()
        return process

    def _started(self) -> subprocess.Popen[bytes]:
        # Under the lock, so that close() either sees the process or keeps it from being started.
        with self._lock:
            if self._is_closed:
                raise ValueError("the render pool is closed")
            process = subprocess.Popen(
                _COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(map(_absolute, sys.path))},
                start_new_session=True,  # Ctrl-C is the parent's; it decides what it means
            )
            self._processes.add(process)
        return process


def _absolute(entry: str) -> str:
    return str(Path(entry).absolute())


def _reap(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                continue  # what was left in the buffer is for nobody
