"""Clips from their servers: moved chunk by chunk, and resumed where they broke off.

Where the bytes go is a ``Sink``: a file, whose name appears once it is whole, or somebody who takes
them as they come.

- A download that broke is resumed from where it broke, and only under the server's own name for
  that content (its strong ETag). In every other case it begins anew, so that no file is ever made
  of two.
- An attempt that brings next to nothing counts against ``attempts``; one that gets on starts the
  count again.
- What is not an MP4 from its first box to its last never gets the target's name.
- The address of a video is signed: what follows ``?`` in it appears nowhere.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from attrs import field, frozen

from kling_effects_async.downloading.addresses import AddressRule
from kling_effects_async.downloading.file_names import safe_name
from kling_effects_async.downloading.file_sink import FileSink
from kling_effects_async.downloading.least_speed import Pace, least_speed
from kling_effects_async.downloading.reply import (
    Promise,
    TryAgainError,
    promise_of,
    resume_headers,
)
from kling_effects_async.downloading.sink import Sink
from kling_effects_async.errors import ClientClosedError, DownloadError, SettingsError
from kling_effects_async.models import without_query
from kling_effects_async.observer import NOBODY
from kling_effects_async.policy import MAX_VIDEO_BYTES, backoff_s
from kling_effects_async.transport.clock import Clock, sleep
from kling_effects_async.transport.proxies import Proxies

if TYPE_CHECKING:
    from aiohttp import ClientResponse

    from kling_effects_async.downloading.web import PublicWeb

__all__ = ["Downloader", "Progress", "safe_name"]

Progress: TypeAlias = Callable[[int, int | None], None]

CHUNK_BYTES = 3 * 2**17  # measured: 64 KiB halves the speed, as each chunk costs a hop to a thread
_REASON_BYTES = 4096  # of a rejection: its first lines hold the reason
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
# A server that wants more is overloaded: another call, later, does as well.
LONGEST_RETRY_AFTER_S = 600.0
_AT_ONCE = nullcontext()


@frozen
class _Transfer:
    """One call of ``transfer``.

    Attributes:
        address: the url without its signature, for messages and for finding the bytes again.
    """

    url: str = field(repr=False)
    address: str
    max_bytes: int
    on_progress: Progress | None
    sink: Sink

    def report(self, total: int | None) -> None:
        if self.on_progress is not None:
            self.on_progress(self.sink.length_bytes, total)

    def error(self, failure: TryAgainError) -> DownloadError:
        waiting = (
            f"; it wants a pause of {failure.retry_after_s:.0f} s" if failure.retry_after_s else ""
        )
        return DownloadError(
            f"{self.address} did not come whole: {failure}{waiting}{self.sink.remark}"
        )


class Downloader:
    """Fetches videos into files, a few at a time.

    Args:
        allowed_origin: the one origin that may be used without TLS, on any port and wherever it
            leads, such as an emulator's ``http://127.0.0.1:8787``; what follows the port is
            ignored.
        proxies: the way to the videos.
        parallel: how many downloads move at once; the others wait their turn.
        slowest_bytes_per_s: a download slower than this over ``slowest_window_s`` is begun
            anew, or resumed.
        attempts: how many in a row may fail without getting on.
        rng: a source of numbers in [0, 1), for the pauses between attempts.
        on_bytes: called with the number of bytes of each chunk that came.

    Raises:
        SettingsError: ``allowed_origin`` is no origin, or nothing could ever be fetched.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        allowed_origin: str | None,
        parallel: int = 8,
        slowest_bytes_per_s: int = 1024,
        slowest_window_s: float = 60.0,
        attempts: int = 5,
        rng: Callable[[], float] = random.random,
        proxies: Proxies | None = None,
        on_bytes: Callable[[int], None] = NOBODY.downloaded,
    ) -> None:
        if parallel < 1 or attempts < 1:
            raise SettingsError("parallel and attempts must be 1 or more")
        self._clock = clock
        self._rule = AddressRule(allowed_origin)
        self._slots = asyncio.Semaphore(parallel)
        self._window_s = slowest_window_s
        self._window_bytes = max(1, round(slowest_bytes_per_s * slowest_window_s))
        self._attempts = attempts
        self._rng = rng
        self._proxies = proxies or Proxies()
        self._on_bytes = on_bytes
        self._web: PublicWeb | None = None
        self._paces: set[Pace] = set()
        self._is_closed = False

    async def aclose(self) -> None:
        """Close the connections; downloads under way end with an error and keep their bytes."""
        self._is_closed = True
        for pace in list(self._paces):  # a closed connection does not wake who reads from it
            pace.end()
        if self._web is not None:
            await self._web.aclose()

    async def download(
        self,
        url: str,
        target: Path,
        *,
        overwrite: bool = False,
        max_bytes: int = MAX_VIDEO_BYTES,
        on_progress: Progress | None = None,
    ) -> Path:
        """Fetch a video into a file and return the file's path.

        What has come stays in ``<target>.part`` when this ends early, by an error, a cancellation
        or a crash; the next call with the same address and target goes on there.

        Args:
            target: missing folders are made.
            overwrite: replace the file that has the name. A link is replaced, not followed. A
                folder, device, named pipe or socket stays, and so does a link to one.
            max_bytes: a larger video is not fetched, or not any further, and nothing of it is kept.
            on_progress: called after each chunk with the bytes so far and the size of the whole
                (``None``: not announced); begins again at 0 where the download has to.

        Raises:
            VideoExpiredError: the address is no longer valid, or not valid yet
                (``NotThereError``); the task has a fresh one.
            DownloadError: the name is taken, or names a device or the like; the disk rejects; the
                address may not be used; the video did not come whole, or is too large for one.
        """
        sink = FileSink(target, overwrite=overwrite)
        await sink.prepare()
        await self.transfer(
            url, sink, max_bytes=max_bytes, on_progress=on_progress, turn=self._slots
        )
        return target

    async def transfer(
        self,
        url: str,
        sink: Sink,
        *,
        max_bytes: int,
        on_progress: Progress | None = None,
        turn: AbstractAsyncContextManager[None] = _AT_ONCE,
    ) -> None:
        """Fetch a video into a sink, over as many attempts as make sense.

        Args:
            turn: entered for each attempt; by default it begins at once, as the receiver and not
                the server may be what it waits for.

        Raises:
            VideoExpiredError, DownloadError: as ``download``; or the sink cannot begin anew.
            ClientClosedError: closed meanwhile.
        """
        transfer = _Transfer(url, _address(url), max_bytes, on_progress, sink)
        failures, best = 0, 0
        while failure := await self._attempt(transfer, turn):
            self._check_open(sink)
            failures += 1
            if sink.length_bytes >= best + self._window_bytes:
                failures, best = 0, sink.length_bytes
            is_last = failures >= self._attempts or _asks_too_much(failure)
            if is_last or not sink.can_go_on(failure):
                raise transfer.error(failure)
            await sleep(self._clock, self._pause_s(failure, failures))

    def _pause_s(self, failure: TryAgainError, failures: int) -> float:
        return backoff_s(
            failures,
            failure.retry_after_s,
            self._rng,
            base_s=FIRST_PAUSE_S,
            max_pause_s=LONGEST_PAUSE_S,
        )

    async def _attempt(
        self, transfer: _Transfer, turn: AbstractAsyncContextManager[None]
    ) -> TryAgainError | None:
        """One attempt; ``None`` if it did, else why not.

        The reason is returned and not raised: aiohttp's errors, whose text can carry the address,
        must not become the context of the error that the caller sees.
        """
        async with turn:  # given back for the pause
            try:
                await self._fetch(transfer)
            except TryAgainError as failure:
                return failure
        return None

    async def _fetch(self, transfer: _Transfer) -> None:
        sink = transfer.sink
        async with sink.attempt(transfer.address):
            try:
                if not sink.is_whole:
                    await self._receive(transfer)
                await sink.finish()
            except TryAgainError as failure:
                if failure.from_start:
                    await sink.discard()
                raise

    async def _receive(self, transfer: _Transfer) -> None:
        from kling_effects_async.downloading.web import read_chunk

        sink = transfer.sink
        async with self._least_speed() as pace, self._response(transfer) as response:
            promise = await self._promise(response, transfer)
            total = promise.source.total
            await _check_bounds(transfer, total or 0)  # announced; below, what comes
            if promise.start == 0:
                await sink.restart(promise)
            while chunk := await read_chunk(response, CHUNK_BYTES):
                await _check_bounds(transfer, sink.length_bytes + len(chunk))
                with pace.received(len(chunk)):
                    await sink.append(chunk)
                self._on_bytes(len(chunk))
                transfer.report(total)
        _check_size(sink.length_bytes, total)

    async def _promise(self, response: ClientResponse, transfer: _Transfer) -> Promise:
        from kling_effects_async.downloading.web import read_chunk

        reason = await read_chunk(response, _REASON_BYTES) if response.status == 403 else b""
        return promise_of(
            response.status,
            response.headers,
            address=transfer.address,
            held=transfer.sink.source,
            length_bytes=transfer.sink.length_bytes,
            now=self._clock.now(),
            reason=reason.decode("latin-1"),
        )

    def _response(self, transfer: _Transfer) -> AbstractAsyncContextManager[ClientResponse]:
        from kling_effects_async.downloading.web import parse

        headers = resume_headers(transfer.sink.source, transfer.sink.length_bytes)
        self._check_open(transfer.sink)
        return self._opened().following(parse(transfer.url), headers)

    def _check_open(self, sink: Sink) -> None:
        if self._is_closed:
            raise ClientClosedError(f"the client was closed during a download; {sink.next_step}")

    def _opened(self) -> PublicWeb:
        from kling_effects_async.downloading.web import PublicWeb

        if self._web is None:
            self._web = PublicWeb(self._rule, self._proxies, read_bufsize=CHUNK_BYTES)
        return self._web

    @asynccontextmanager
    async def _least_speed(self) -> AsyncIterator[Pace]:
        async with least_speed(
            self._clock, window_s=self._window_s, window_bytes=self._window_bytes
        ) as pace:
            self._paces.add(pace)
            try:
                yield pace
            finally:
                self._paces.discard(pace)


def _address(url: str) -> str:
    """The url without its signature.

    Raises:
        DownloadError: it is no address; does not repeat it.
    """
    from kling_effects_async.downloading.web import parse

    parse(url)
    return without_query(url)


async def _check_bounds(transfer: _Transfer, length_bytes: int) -> None:
    if length_bytes > transfer.max_bytes:
        await transfer.sink.discard()
        raise DownloadError(
            f"{transfer.address} has more than {transfer.max_bytes} bytes, too many for the clip "
            "of an effect: ask the service about it, or pass a larger max_bytes"
        )


def _asks_too_much(failure: TryAgainError) -> bool:
    return (failure.retry_after_s or 0.0) > LONGEST_RETRY_AFTER_S


def _check_size(length_bytes: int, total: int | None) -> None:
    if total is not None and length_bytes != total:
        raise TryAgainError(
            f"{length_bytes} of {total} bytes came", from_start=length_bytes > total
        )
