"""What is no journal is rejected at once, in one sentence, and nothing is touched."""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from kling_effects_async.errors import JournalDamagedError, JournalError
from kling_effects_async.journal.sqlite.lock import Lock, lock_path
from kling_effects_async.journal.sqlite.network_share import warn_of_network_share
from kling_effects_async.journal.sqlite.store import SqliteStore

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="links, pipes and sockets")
PICTURE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40


def another_programs(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (a)")
        connection.commit()


@pytest.fixture(params=[True, False], ids=["read", "write"])
def journal(request: pytest.FixtureRequest) -> Callable[[Path | str], SqliteStore]:
    return lambda path: SqliteStore(path, read_only=request.param)


async def rejected(journal: SqliteStore) -> str:
    """The sentence of the rejection."""
    with pytest.raises(JournalError) as caught:
        await journal.open()
    assert "\n" not in str(caught.value)
    assert type(caught.value) is JournalError
    return str(caught.value)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: path.write_bytes(PICTURE), "is not a journal, and was not touched"),
        (lambda path: path.write_text("a,b\n" * 2000), "is not a journal, and was not touched"),
        (lambda path: path.write_text("x"), "is not a journal, and was not touched"),
        (another_programs, "is another program's database"),
        (lambda path: path.mkdir(), "is a folder, not a journal"),
        pytest.param(lambda path: os.mkfifo(path), "is a named pipe", marks=posix_only),
        pytest.param(lambda path: path.symlink_to("/dev/null"), "is a device", marks=posix_only),
        pytest.param(lambda path: path.symlink_to(path), "symbolic links", marks=posix_only),
    ],
)
async def test_what_is_no_journal_is_not_touched(
    tmp_path: Path, journal: Callable[[Path], SqliteStore], make: Callable[[Path], None], what: str
) -> None:
    """Fault 91, 96: ``--journal cat.jpg``, and whatever else has a name."""
    path = tmp_path / "cat.jpg"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    said = await rejected(journal(path))
    assert what in said
    assert str(tmp_path) in said or "/dev/null" in said
    assert [file.name for file in tmp_path.iterdir()] == ["cat.jpg"]
    assert (path.read_bytes() if path.is_file() else b"") == before


@posix_only
async def test_a_socket_is_no_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 91: its address may be 108 bytes long, so it is made from within its folder."""
    monkeypatch.chdir(tmp_path)
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind("effects.db")
        assert "is a socket, not a journal" in await rejected(SqliteStore("effects.db"))


@pytest.mark.parametrize("name", ["", ":memory:", "a\0b"])
async def test_what_names_no_file_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Fault 91: SQLite would take some of them for a database that is gone once it is closed."""
    monkeypatch.chdir(tmp_path)
    assert "is no file name" in await rejected(SqliteStore(name))
    assert list(tmp_path.iterdir()) == []


async def test_a_name_that_is_too_long_is_rejected(tmp_path: Path) -> None:
    assert "name too long" in await rejected(SqliteStore(tmp_path / ("x" * 300)))


@posix_only
async def test_a_lock_file_that_is_a_pipe_is_named(tmp_path: Path) -> None:
    """Fault 96: it would wait for ever for somebody to write."""
    path = tmp_path / "effects.db"
    os.mkfifo(lock_path(path))
    assert str(lock_path(path)) in await rejected(SqliteStore(path))


async def test_a_journal_whose_first_page_is_gone_is_known_by_what_lies_beside_it(
    tmp_path: Path,
) -> None:
    """Fault 91, 27: it looks like any other file, and its jobs may be paid for."""
    path = tmp_path / "effects.db"
    async with SqliteStore(path):
        pass
    path.write_bytes(PICTURE)
    with pytest.raises(JournalDamagedError) as caught:
        await SqliteStore(path).open()
    assert caught.value.path is not None
    assert caught.value.path.read_bytes() == PICTURE


@pytest.mark.parametrize("has_lock", [True, False])
async def test_a_damaged_journal_without_its_lock_is_known_by_its_header(
    tmp_path: Path, has_lock: bool
) -> None:
    """Fault 91, 27."""
    path = tmp_path / "effects.db"
    async with SqliteStore(path):
        pass
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    if not has_lock:
        lock_path(path).unlink()
    with pytest.raises(JournalDamagedError, match="moved aside"):
        await SqliteStore(path).open()
    assert not path.exists()


async def test_another_programs_damaged_database_stays_where_it_is(tmp_path: Path) -> None:
    """Fault 91: it has SQLite's header, and not ours."""
    path = tmp_path / "theirs.db"
    another_programs(path)
    damaged = path.read_bytes()[:4096]
    path.write_bytes(damaged)
    with pytest.raises(JournalError, match="choose another file"):
        await SqliteStore(path).open()
    assert path.read_bytes() == damaged


def test_a_lock_file_tells_its_number_to_who_locks_it_next(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "effects.db")
    assert lock.number is None
    lock.keep(7)
    lock.note(12)
    lock.release()
    again = Lock(tmp_path / "effects.db")
    assert again.number == 12
    again.release()


@pytest.mark.skipif(not hasattr(os, "major"), reason="how Unix tells devices")
@pytest.mark.parametrize(("kind", "warnings"), [("nfs4", 1), ("ext4", 0), ("fuse.sshfs", 1)])
def test_a_journal_on_a_network_share_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, warnings: int
) -> None:
    """Fault 29: SQLite's log serves one machine."""
    device = os.stat(tmp_path).st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "24 1 0:0 / /proc rw - proc proc rw\n"
        f"25 1 {os.major(device)}:{os.minor(device)} / / rw shared:1 - {kind} there rw\n"
    )
    warn_of_network_share(tmp_path / "effects.db", mounts)
    assert [kind in record.getMessage() for record in caplog.records] == [True] * warnings
