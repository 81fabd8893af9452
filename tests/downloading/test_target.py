"""What is at the target's place already, and beside it, is never lost and never followed."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kling_effects_async.downloading.downloader import Downloader
from kling_effects_async.downloading.part_file import PartFile
from kling_effects_async.downloading.replaceable import irreplaceable_kind
from kling_effects_async.errors import (
    DownloadError,
)
from tests.support.video_server import (
    VIDEO,
    VideoServer,
    held_after,
    part_of,
)

NOTE = json.dumps({"address": "https://videos.example/clip.mp4", "etag": '"v1"', "total": 9})
MAY_MAKE_DEVICES = sys.platform == "linux" and os.geteuid() == 0


SPECIAL = [
    "named pipe",
    "socket",
    pytest.param("device", marks=pytest.mark.skipif(not MAY_MAKE_DEVICES, reason="needs root")),
]


@contextmanager
def made_special(path: Path, what: str) -> Iterator[None]:
    """Something of this kind in a folder of the test's own; a device that drops what it gets."""
    with socket.socket(socket.AF_UNIX) as listening:
        if what == "named pipe":
            os.mkfifo(path)
        elif what == "folder":
            path.mkdir()
        elif what == "socket":
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(path.parent)  # such a path may have 107 bytes
                listening.bind(path.name)
        else:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        yield


@pytest.mark.parametrize("what", ["file", "dangling link", "folder"])
async def test_a_name_that_is_taken_is_rejected_before_anything_is_fetched(
    downloader: Downloader, server: VideoServer, target: Path, what: str
) -> None:
    """Fault 54."""
    if what == "file":
        target.write_bytes(b"mine")
    elif what == "folder":
        target.mkdir()
    else:
        target.symlink_to("nowhere")
    with pytest.raises(DownloadError, match=r"clip\.mp4"):
        await downloader.download(server.url, target)
    assert server.requests == []


async def test_a_folder_is_never_overwritten(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 54."""
    target.mkdir()
    with pytest.raises(DownloadError, match="is a folder"):
        await downloader.download(server.url, target, overwrite=True)
    assert server.requests == []


async def test_a_target_without_a_name_is_rejected(
    downloader: Downloader, server: VideoServer
) -> None:
    """Fault 54."""
    with pytest.raises(DownloadError, match="names no file"):
        await downloader.download(server.url, Path())


async def test_the_error_for_a_taken_name_says_what_to_do(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 54."""
    target.write_bytes(b"mine")
    with pytest.raises(DownloadError, match="overwrite=True"):
        await downloader.download(server.url, target)
    assert target.read_bytes() == b"mine"


async def test_a_file_is_replaced_when_asked_to(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 54."""
    target.write_bytes(b"old")
    await downloader.download(server.url, target, overwrite=True)
    assert target.read_bytes() == VIDEO


async def test_a_name_taken_in_the_meantime_is_not_overwritten(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 54."""
    server.script = [held_after(1000)]
    task = asyncio.create_task(downloader.download(server.url, target))
    await server.held.acquire()
    target.write_bytes(b"racer")
    server.release.set()
    with pytest.raises(DownloadError, match=r"exists already.*clip\.mp4\.part"):
        await task
    assert target.read_bytes() == b"racer"
    await downloader.download(server.url, target, overwrite=True)
    assert target.read_bytes() == VIDEO


async def test_without_hard_links_a_name_taken_meanwhile_is_not_overwritten(
    downloader: Downloader, server: VideoServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 54: exFAT has no hard links."""

    def unknown(*_paths: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", unknown)
    server.script = [held_after(1000)]
    task = asyncio.create_task(downloader.download(server.url, target))
    await server.held.acquire()
    target.write_bytes(b"racer")
    server.release.set()
    with pytest.raises(DownloadError, match="exists already"):
        await task
    assert target.read_bytes() == b"racer"
    target.unlink()
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO


async def test_a_link_in_place_of_the_target_is_replaced_and_not_followed(
    downloader: Downloader, server: VideoServer, target: Path, tmp_path: Path
) -> None:
    """Fault 55."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    target.symlink_to(victim)
    await downloader.download(server.url, target, overwrite=True)
    assert victim.read_bytes() == b"precious"
    assert not target.is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs there")
@pytest.mark.parametrize("what", SPECIAL)
@pytest.mark.parametrize("is_link", [False, True])
@pytest.mark.parametrize("overwrite", [False, True])
async def test_what_is_no_file_is_never_replaced(
    downloader: Downloader,
    server: VideoServer,
    target: Path,
    what: str,
    is_link: bool,
    overwrite: bool,
) -> None:
    """Fault 55: /dev/null stays what it is, and so does /dev/stdout, a link."""
    special = target.with_name("special")
    with made_special(special, what):
        target.symlink_to(special) if is_link else special.rename(target)
        with pytest.raises(DownloadError, match=f"is a {what}, not a file"):
            await downloader.download(server.url, target, overwrite=overwrite)
    assert server.requests == []
    assert target.is_symlink() == is_link
    assert await asyncio.to_thread(irreplaceable_kind, target) == what


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs there")
async def test_a_pipe_that_came_meanwhile_is_not_replaced(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 55."""
    server.script = [held_after(1000)]
    task = asyncio.create_task(downloader.download(server.url, target, overwrite=True))
    await server.held.acquire()
    os.mkfifo(target)
    server.release.set()
    with pytest.raises(DownloadError, match="is a named pipe"):
        await task
    assert target.is_fifo()
    assert part_of(target).read_bytes() == VIDEO


async def test_a_link_to_nothing_is_replaced(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 55."""
    target.symlink_to("nowhere")
    await downloader.download(server.url, target, overwrite=True)
    assert (target.is_symlink(), target.read_bytes()) == (False, VIDEO)


@pytest.mark.skipif(sys.platform == "win32", reason="no O_NOFOLLOW there")
@pytest.mark.parametrize("name", ["clip.mp4.part", "clip.mp4.part.json"])
async def test_a_link_in_place_of_our_own_files_is_not_followed(
    downloader: Downloader, server: VideoServer, target: Path, tmp_path: Path, name: str
) -> None:
    """Fault 55."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    target.with_name(name).symlink_to(victim)
    with pytest.raises(DownloadError, match="is a link, not a file"):
        await downloader.download(server.url, target)
    assert victim.read_bytes() == b"precious"


@pytest.mark.skipif(sys.platform == "win32", reason="no O_NOFOLLOW there")
def test_a_link_that_came_meanwhile_is_not_followed(target: Path, tmp_path: Path) -> None:
    """Faults 55 and 96: no file is made at its end, and no note is read there."""
    part = PartFile(target)
    part.prepare(overwrite=False)
    part.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        part.open("https://videos.example/clip.mp4")
    assert not (tmp_path / "elsewhere").exists()
    part.path.unlink()
    (tmp_path / "note").write_text(NOTE)
    target.with_name("clip.mp4.part.json").symlink_to(tmp_path / "note")
    part.open("https://videos.example/clip.mp4")
    part.close()
    assert part.source is None


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs there")
def test_a_note_out_of_a_pipe_is_not_believed(target: Path) -> None:
    """Fault 96."""
    pipe = target.with_name("clip.mp4.part.json")
    os.mkfifo(pipe)
    held = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # what is written waits in the pipe
    pipe.write_text(NOTE)
    part = PartFile(target)
    part.open("https://videos.example/clip.mp4")
    part.close()
    os.close(held)
    assert part.source is None


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs there")
@pytest.mark.parametrize("name", ["clip.mp4.part", "clip.mp4.part.json"])
@pytest.mark.parametrize("what", [*SPECIAL, "folder"])
async def test_a_side_file_that_is_no_file_is_rejected_before_anything_is_asked(
    downloader: Downloader, server: VideoServer, target: Path, name: str, what: str
) -> None:
    """Faults 55 and 96: nobody writes to a pipe, and the thread that read it would never end."""
    with (
        made_special(target.with_name(name), what),
        pytest.raises(DownloadError, match=f"{name} is a {what}, not a file; remove it"),
    ):
        await downloader.download(server.url, target)
    assert server.requests == []
    assert os.listdir(target.parent) == [name]


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs there")
@pytest.mark.parametrize("what", SPECIAL)
def test_what_took_the_place_of_our_files_meanwhile_is_not_waited_for(
    target: Path, what: str
) -> None:
    """Fault 96: between the look and the use."""
    part = PartFile(target)
    part.prepare(overwrite=False)
    with (
        made_special(target.with_name("clip.mp4.part.json"), what),
        made_special(part.path, what),
        pytest.raises((DownloadError, OSError)),
    ):
        part.open("https://videos.example/clip.mp4")
    part.close()
    part.path.unlink()
    part.open("https://videos.example/clip.mp4")
    part.close()
    assert part.source is None


async def test_finished_work_that_still_has_its_old_name_is_left_as_it_is(
    downloader: Downloader, server: VideoServer, target: Path, tmp_path: Path
) -> None:
    """Fault 25: dead between giving the new name and dropping the old one."""
    finished = tmp_path / "finished.mp4"
    finished.write_bytes(b"finished")
    os.link(finished, part_of(target))
    await downloader.download(server.url, target)
    assert finished.read_bytes() == b"finished"
    assert target.read_bytes() == VIDEO


@pytest.mark.skipif(sys.platform == "win32", reason="no flock there")
async def test_two_downloads_never_write_to_one_file(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 51: never two files in one."""
    server.script = [held_after(1000)]
    first = asyncio.create_task(downloader.download(server.url, target))
    await server.held.acquire()
    with pytest.raises(DownloadError, match="another download"):
        await downloader.download(server.url, target)
    server.release.set()
    await first
    assert target.read_bytes() == VIDEO


@pytest.mark.parametrize("name", ["file/clip.mp4", "x" * 300 + ".mp4", "nul\0byte.mp4"])
async def test_a_target_that_the_disk_rejects_is_a_download_error(
    downloader: Downloader, server: VideoServer, tmp_path: Path, name: str
) -> None:
    """Faults 54 and 55."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError) as caught:
        await downloader.download(server.url, tmp_path / name)
    assert isinstance(caught.value.__cause__, OSError | ValueError)
    assert server.requests == []
