"""Clips to files: streamed, resumed where they broke off, and whole before they have a name.

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
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from attrs import field, frozen

from kling_effects_async.downloading.addresses import AddressRule
from kling_effects_async.downloading.file_names import safe_name
from kling_effects_async.downloading.part_file import PartFile, on_disk
from kling_effects_async.downloading.reply import TryAgainError, promise_of, resume_headers
from kling_effects_async.errors import ClientClosedError, DownloadError, SettingsError
from kling_effects_async.models import without_query
from kling_effects_async.policy import MAX_VIDEO_BYTES, backoff_s
from kling_effects_async.transport.clock import Clock, Timer, sleep
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


@frozen
class _Transfer:
    """One call of ``download``, and how far it is.

    Attributes:
        address: the url without its signature, for messages and for finding the bytes again.
    """

    url: str = field(repr=False)
    address: str
    overwrite: bool
    max_bytes: int
    on_progress: Progress | None
    part: PartFile

    def report(self, total: int | None) -> None:
        if self.on_progress is not None:
            self.on_progress(self.part.length_bytes, total)

    def error(self, failure: TryAgainError) -> DownloadError:
        waiting = (
            f"; it wants a pause of {failure.retry_after_s:.0f} s" if failure.retry_after_s else ""
        )
        length = self.part.length_bytes
        kept = f"; {self.part.path} keeps {length} bytes for the next call" if length else ""
        return DownloadError(f"{self.address} did not come whole: {failure}{waiting}{kept}")


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
        self._web: PublicWeb | None = None
        self._is_closed = False

    async def aclose(self) -> None:
        """Close the connections; downloads under way end with an error and keep their bytes."""
        self._is_closed = True
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
        part = PartFile(target)
        transfer = _Transfer(url, _address(url), overwrite, max_bytes, on_progress, part)
        await on_disk(part.prepare, overwrite=overwrite)
        failures, best = 0, 0
        while failure := await self._attempt(transfer):
            failures += 1
            if part.length_bytes >= best + self._window_bytes:
                failures, best = 0, part.length_bytes
            if failures >= self._attempts or _asks_too_much(failure):
                raise transfer.error(failure)
            await sleep(self._clock, self._pause_s(failure, failures))
        return target

    def _pause_s(self, failure: TryAgainError, failures: int) -> float:
        return backoff_s(
            failures,
            failure.retry_after_s,
            self._rng,
            base_s=FIRST_PAUSE_S,
            max_pause_s=LONGEST_PAUSE_S,
        )

    async def _attempt(self, transfer: _Transfer) -> TryAgainError | None:
        """One attempt; ``None`` if it did, else why not.

        The reason is returned and not raised: aiohttp's errors, whose text can carry the address,
        must not become the context of the error that the caller sees.
        """
        async with self._slots:  # given back for the pause
            try:
                await self._fetch(transfer)
            except TryAgainError as failure:
                return failure
        return None

    async def _fetch(self, transfer: _Transfer) -> None:
        part = transfer.part
        try:
            await on_disk(part.open, transfer.address)
            if not part.is_whole:
                await self._receive(transfer)
            if flaw := await on_disk(part.flaw):
                raise TryAgainError(f"what came is no whole video, {flaw}", from_start=True)
            await on_disk(part.publish, overwrite=transfer.overwrite)
        except TryAgainError as failure:
            if failure.from_start:
                await on_disk(part.discard)
            raise
        finally:
            await on_disk(part.close)

    async def _receive(self, transfer: _Transfer) -> None:
        from kling_effects_async.downloading.web import read_chunk

        part = transfer.part
        async with self._moving(part), self._response(transfer) as response:
            reason = await read_chunk(response, _REASON_BYTES) if response.status == 403 else b""
            promise = promise_of(
                response.status,
                response.headers,
                address=transfer.address,
                held=part.source,
                length_bytes=part.length_bytes,
                now=self._clock.now(),
                reason=reason.decode("latin-1"),
            )
            await _check_bounds(transfer, promise.source.total or 0)  # announced; below, what comes
            if promise.start == 0:
                await on_disk(part.restart, promise.source)
            while chunk := await read_chunk(response, CHUNK_BYTES):
                await _check_bounds(transfer, part.length_bytes + len(chunk))
                await on_disk(part.append, chunk)
                transfer.report(promise.source.total)
        _check_size(part.length_bytes, promise.source.total)

    def _response(self, transfer: _Transfer) -> AbstractAsyncContextManager[ClientResponse]:
        from kling_effects_async.downloading.web import parse

        headers = resume_headers(transfer.part.source, transfer.part.length_bytes)
        return self._opened().following(parse(transfer.url), headers)

    def _opened(self) -> PublicWeb:
        from kling_effects_async.downloading.web import PublicWeb

        if self._is_closed:
            raise ClientClosedError(
                "the client was closed during a download; what came is kept, call download() again"
            )
        if self._web is None:
            self._web = PublicWeb(self._rule, self._proxies, read_bufsize=CHUNK_BYTES)
        return self._web

    @asynccontextmanager
    async def _moving(self, part: PartFile) -> AsyncIterator[None]:
        """End the block when a whole window brought too few bytes."""
        # aiohttp's sock_read cannot do it: a byte now and then begins it anew.
        loop = asyncio.get_running_loop()
        seen_bytes = part.received_bytes
        timer: Timer

        def check_speed() -> None:
            nonlocal seen_bytes, timer
            if part.received_bytes - seen_bytes < self._window_bytes:
                limit.reschedule(loop.time())
                return
            seen_bytes = part.received_bytes
            timer = self._clock.call_at(self._clock.monotonic() + self._window_s, check_speed)

        timer = self._clock.call_at(self._clock.monotonic() + self._window_s, check_speed)
        try:
            async with asyncio.timeout(None) as limit:
                yield
        except TimeoutError:
            raise TryAgainError("it stood still, or nearly so") from None
        finally:
            timer.cancel()


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
        await on_disk(transfer.part.discard)
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
