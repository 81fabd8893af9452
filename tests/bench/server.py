"""The server of the benchmark: as little HTTP as the clients need, so that it is never the limit.

    python -m tests.bench.server [--no-list] [--slots 500]

Prints its port and serves until its stdin ends, so it cannot outlive who started it.

    POST, GET /v1/videos/effects[/{id}]          Kling's paths, and the gateways' under /kling
    GET /media/{name}                            the clip
    GET /bench/reset                             forget everything and count from 0
    GET /bench/facts                             what was counted, and when each task ended
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import re
import sys
import time
from typing import cast
from urllib.parse import parse_qs, urlsplit

from tests.bench.clip_served import clip, clip_head
from tests.bench.loops import runner
from tests.bench.tasks_served import Answer, ServedTasks

_LENGTH = re.compile(rb"(?im)^content-length: *(\d+)\r?$")
_SMALL_BYTES = 2**16
_SAMPLED_EVERY = 10  # one upload of so many is kept and looked at afterwards
_STEP_BYTES = 2**18
_NO_LIST: Answer = (404, b'{"error":{"message":"Invalid URL","type":"invalid_request_error"}}')


class Bench:
    """What all connections share."""

    def __init__(self, *, has_list: bool, slots: int | None) -> None:
        self._has_list = has_list
        self._tasks = ServedTasks(slots)
        self._reset()

    def _reset(self) -> None:
        self._tasks.clear()
        self.uploads: int = 0
        self.samples: list[bytes] = []
        self._counts = {"submits": 0, "queries": 0, "pages": 0}
        self._cpu_s = time.process_time()

    def answer(self, method: str, target: str, body: bytes | None) -> Answer:
        """Answer anything but the clip; ``None`` is a body too large to be looked at now."""
        parts = urlsplit(target)
        if method == "POST":
            self._counts["submits"] += 1
            return self._tasks.accept(json.loads(body) if body is not None else {})
        if parts.path == "/bench/reset":
            self._reset()
            return 200, b"{}"
        if parts.path == "/bench/facts":
            return 200, json.dumps(self._facts()).encode()
        if parts.path.endswith("/effects"):
            return self._page(parts.query)
        self._counts["queries"] += 1
        return self._tasks.one(parts.path.rpartition("/")[2])

    def _page(self, query: str) -> Answer:
        self._counts["pages"] += 1
        if not self._has_list:
            return _NO_LIST
        asked = parse_qs(query)
        return self._tasks.page(
            int(asked.get("pageNum", ["1"])[0]), int(asked.get("pageSize", ["30"])[0])
        )

    def _facts(self) -> dict[str, object]:
        cpu_s = time.process_time() - self._cpu_s  # before the samples are looked at
        return {
            **self._counts,
            "requests": sum(self._counts.values()),
            "rejections": self._tasks.rejections,
            "server_cpu_s": cpu_s,
            "ends": self._tasks.ends(),
            "image_hashes": [_image_hash(sample) for sample in self.samples],
        }


class Connection(asyncio.Protocol):
    """One connection of one client; requests follow one another."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._buffer = bytearray()
        self._upload_left = 0
        self._sample: bytearray | None = None
        self._is_paused = False
        self._clip_at = len(clip())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one in all but its class.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=2 * _STEP_BYTES)

    def data_received(self, data: bytes) -> None:
        if self._upload_left:
            self._take_upload(data)
            return
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end])
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        body = self._buffer[end + 4 :]
        if length > _SMALL_BYTES:
            self._buffer.clear()
            self._begin_upload(length, body)
        elif len(body) >= length:
            self._buffer = body[length:]
            self._serve(head.decode("latin-1"), bytes(body[:length]))

    def _serve(self, head: str, body: bytes) -> None:
        method, target, _ = head.split(" ", 2)
        if target.startswith("/media/"):
            self._begin_clip(head)
        else:
            self._reply(self._bench.answer(method, target, body))

    def _reply(self, answer: Answer) -> None:
        status, body = answer
        head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\n"
        self._transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    # -- large bodies: counted, and now and then kept

    def _begin_upload(self, length: int, beginning: bytes | bytearray) -> None:
        self._upload_left = length
        is_sampled = self._bench.uploads % _SAMPLED_EVERY == 0
        self._sample = bytearray() if is_sampled else None
        self._bench.uploads += 1
        self._take_upload(beginning)

    def _take_upload(self, data: bytes | bytearray) -> None:
        self._upload_left -= len(data)
        if self._sample is not None:
            self._sample += data
        if self._upload_left == 0:
            if self._sample is not None:
                self._bench.samples.append(bytes(self._sample))
            self._sample = None
            self._reply(self._bench.answer("POST", "", None))

    # -- the clip, as fast as the client reads

    def _begin_clip(self, request_head: str) -> None:
        head, self._clip_at = clip_head(request_head)
        self._transport.write(head)
        self._send_clip()

    def _send_clip(self) -> None:
        content = memoryview(clip())
        while not self._is_paused and self._clip_at < len(content):
            self._transport.write(content[self._clip_at : self._clip_at + _STEP_BYTES])
            self._clip_at += _STEP_BYTES

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._send_clip()


def _image_hash(body: bytes) -> str:
    image = base64.b64decode(json.loads(body)["input"]["image"], validate=True)
    return hashlib.sha256(image).hexdigest()


async def _serve(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(bench), "127.0.0.1", 0, backlog=1024)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-list", action="store_true")
    parser.add_argument("--slots", type=int)
    given = parser.parse_args()
    clip()
    with runner(is_uvloop=True) as run:
        run.run(_serve(Bench(has_list=not given.no_list, slots=given.slots)))


if __name__ == "__main__":
    main()
