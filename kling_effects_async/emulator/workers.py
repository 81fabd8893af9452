"""Render processes: at most two, each fed by a thread of its own through pipes.

Not ``multiprocessing``: its fresh processes import the caller's script again, and then a three-line
script without a ``__main__`` guard starts a second emulator instead of a render.

A job is a JSON line (scene, duration, quality, image sizes) and the images; an answer is a JSON
line (``size`` of the clip, or ``rejected``: why the picture cannot be read) and the clip.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

__all__ = ["RenderPool", "UnrenderableError", "serve"]

_WORKERS_AT_MOST = 2  # Rendering is a side show; the caller's own work needs the other cores.
_COMMAND = (
    sys.executable,
    "-c",
    "from kling_effects_async.emulator.workers import serve; serve()",
)


class UnrenderableError(Exception):
    """The renderer cannot read the picture, though its header looked well."""


class RenderPool:
    """Renders in other processes, which are started for the first jobs and ended by ``close``."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(
            max_workers=min(_WORKERS_AT_MOST, os.cpu_count() or 1), thread_name_prefix="render"
        )
        self._of_thread = threading.local()
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._is_closed = False

    def submit(
        self, scene: str, images: list[bytes], duration_s: int, quality: str
    ) -> Future[bytes]:
        """The clip, in a future that fails with ``UnrenderableError`` for unreadable pictures."""
        job = {
            "scene": scene,
            "duration_s": duration_s,
            "quality": quality,
            "sizes": [len(image) for image in images],
        }
        return self._threads.submit(self._render, json.dumps(job).encode(), images)

    def close(self) -> None:
        """End the processes, whatever they are at. Blocks for some milliseconds."""
        with self._lock:
            self._is_closed = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in self._processes:
            _bury(process)

    def _render(self, job: bytes, images: list[bytes]) -> bytes:
        process = self._process()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.writelines([job, b"\n", *images])
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            if "rejected" in answer:
                raise UnrenderableError(answer["rejected"])
            return process.stdout.read(answer["size"])
        except (OSError, ValueError):
            del self._of_thread.process  # it died; the next job gets another
            raise

    def _process(self) -> subprocess.Popen[bytes]:
        """This thread's own process."""
        process: subprocess.Popen[bytes] | None = getattr(self._of_thread, "process", None)
        if process is not None:
            return process
        with self._lock:
            if self._is_closed:
                raise ValueError("the emulator is closing")
            process = subprocess.Popen(
                _COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(map(_absolute, sys.path))},
                start_new_session=True,  # Ctrl-C is the parent's; it decides what it means
            )
            self._processes.add(process)
        self._of_thread.process = process
        return process


def _absolute(entry: str) -> str:
    return str(Path(entry).absolute())


def _bury(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                continue  # what was left in the buffer is for nobody


def serve(jobs: IO[bytes] | None = None, answers: IO[bytes] | None = None) -> None:
    """The other end: render job after job until the pipe is closed."""
    from kling_effects_async.emulator.render import PREVIEW, TEST, RenderError, render_clip

    qualities = {"PREVIEW": PREVIEW, "TEST": TEST}
    jobs, answers = jobs or sys.stdin.buffer, answers or sys.stdout.buffer
    while line := jobs.readline():
        job = json.loads(line)
        images = [jobs.read(size) for size in job["sizes"]]
        try:
            clip = render_clip(
                job["scene"],
                images,
                duration_s=job["duration_s"],
                quality=qualities[job["quality"]],
            )
            answer: dict[str, object] = {"size": len(clip)}
        except RenderError as error:
            clip, answer = b"", {"rejected": str(error)}
        answers.writelines([json.dumps(answer).encode(), b"\n", clip])
        answers.flush()
