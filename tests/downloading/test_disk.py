"""A disk that is full, forgets or rejects: the video is whole under its name, or an error."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kling_effects_async.downloading.downloader import Downloader
from kling_effects_async.errors import (
    DownloadError,
)
from tests.support.video_server import (
    VIDEO,
    VideoServer,
    part_of,
)


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """Lets no file grow beyond so many bytes, as a full disk would."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_is_a_download_error_and_the_bytes_are_kept(
    downloader: Downloader,
    server: VideoServer,
    target: Path,
    full_disk: Callable[[int], None],
) -> None:
    """Fault 53."""
    full_disk(100_000)
    with pytest.raises(DownloadError, match="cannot be stored") as caught:
        await downloader.download(server.url, target)
    assert isinstance(caught.value.__cause__, OSError)
    assert part_of(target).stat().st_size == 100_000


async def test_once_the_disk_has_room_it_goes_on(
    downloader: Downloader, server: VideoServer, target: Path, full_disk: Callable[[int], None]
) -> None:
    """Fault 53."""
    full_disk(100_000)
    with pytest.raises(DownloadError):
        await downloader.download(server.url, target)
    full_disk(10_000_000)
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
    assert server.ranges == [None, "bytes=100000-"]


@pytest.mark.skipif(sys.platform == "win32", reason="no folder is synced there")
@pytest.mark.parametrize(
    "code", [errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EIO]
)
@pytest.mark.parametrize("call", ["open", "fsync"])
async def test_a_folder_that_cannot_be_synced_keeps_the_whole_video(
    downloader: Downloader,
    server: VideoServer,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    code: int,
) -> None:
    """Fault 85: the file is there, and its own bytes are on disk."""
    real: Callable[..., Any] = getattr(os, call)

    def fail_for_folders(what: Any, *rest: Any, **named: Any) -> Any:
        if call == "open" and rest == (os.O_RDONLY,) and Path(what) == target.parent:
            raise OSError(code, os.strerror(code))
        if call == "fsync" and stat.S_ISDIR(os.fstat(what).st_mode):
            raise OSError(code, os.strerror(code))
        return real(what, *rest, **named)

    monkeypatch.setattr(os, call, fail_for_folders)
    assert await downloader.download(server.url, target) == target
    assert target.read_bytes() == VIDEO


@pytest.mark.parametrize("name", ["clip.mp4.part", "clip.mp4.part.json"])
async def test_what_cannot_be_removed_after_the_naming_does_not_matter(
    downloader: Downloader,
    server: VideoServer,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """Fault 85."""
    real = os.unlink

    def keep(path: Any, **named: Any) -> None:
        if os.fspath(path).endswith(name) and target.exists():
            raise PermissionError(errno.EPERM, "kept")
        real(path, **named)

    monkeypatch.setattr(os, "unlink", keep)
    assert await downloader.download(server.url, target) == target
    monkeypatch.undo()
    target.unlink()
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO


async def test_a_file_system_without_fsync_stores_the_video(
    downloader: Downloader, server: VideoServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 85."""

    def unknown(_descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", unknown)
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO


@pytest.mark.skipif(sys.platform == "win32", reason="no folder is synced there")
async def test_a_video_is_on_the_disk_before_it_has_its_name_and_then_the_name_is(
    downloader: Downloader, server: VideoServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 25: after a power cut there is the whole video, or none of that name."""
    synced: list[tuple[str, int, bool]] = []
    real = os.fsync

    def note(descriptor: int) -> None:
        facts = os.fstat(descriptor)
        is_folder = stat.S_ISDIR(facts.st_mode)
        size = 0 if is_folder else facts.st_size
        synced.append(("folder" if is_folder else "video", size, target.exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    await downloader.download(server.url, target)
    assert synced == [("video", len(VIDEO), False), ("folder", 0, True)]


async def test_a_disk_that_lost_the_bytes_is_told(
    downloader: Downloader, server: VideoServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 53."""

    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(DownloadError, match="cannot be stored"):
        await downloader.download(server.url, target)
    assert not target.exists()


async def test_a_name_that_cannot_be_given_is_not_left_taken(
    downloader: Downloader, server: VideoServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 54: neither linked nor renamed, so the next call finds the name free."""

    def reject(*_paths: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", reject)
        patch.setattr(os, "replace", reject)
        with pytest.raises(DownloadError, match="cannot be stored"):
            await downloader.download(server.url, target)
    assert not target.exists()
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
