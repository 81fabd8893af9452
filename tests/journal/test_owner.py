"""One owner of a journal, under whatever name it is opened; other processes are real ones."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from kling_effects_async.errors import JournalBusyError, JournalError
from kling_effects_async.journal.sqlite import ownership
from kling_effects_async.journal.sqlite.lock import lock_path
from kling_effects_async.journal.sqlite.store import SqliteStore
from tests.support.journal_files import line_of, process
from tests.support.paid_service import a_job

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and signals")
needs_proc = pytest.mark.skipif(not ownership.process_mark(os.getpid()), reason="no /proc")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "jobs").mkdir()
    return tmp_path / "jobs" / "effects.db"


def through_a_link(path: Path) -> Path:
    link = path.with_name("link.db")
    link.symlink_to(path)
    return link


def through_a_linked_folder(path: Path) -> Path:
    folder = path.parent.with_name("linked")
    folder.symlink_to(path.parent)
    return folder / path.name


@pytest.mark.parametrize("other_name", [through_a_link, through_a_linked_folder])
async def test_two_links_to_a_journal_have_one_owner(path: Path, other_name: object) -> None:
    """Fault 87: one journal under two names."""
    assert callable(other_name)
    async with process("hold", path) as owner:
        await line_of(owner)
        with pytest.raises(JournalBusyError, match=f"process {owner.pid} "):
            await SqliteStore(other_name(path)).open()


async def test_a_link_to_nothing_makes_the_journal_where_it_leads(path: Path) -> None:
    link = through_a_link(path)
    async with SqliteStore(link) as journal:
        await journal.add(a_job("a"))
    assert path.exists()
    assert not lock_path(link).exists()
    async with SqliteStore(path) as journal:
        assert await journal.find("a")


async def test_a_journal_with_two_names_is_opened_under_neither(path: Path) -> None:
    """Fault 87: a hard link, and SQLite's log stands beside one name alone."""
    async with process("hold", path) as owner:
        await line_of(owner)
        other = path.with_name("other.db")
        other.hardlink_to(path)
        for name in (path, other):
            for is_read_only in (True, False):
                with pytest.raises(JournalError, match="2 names"):
                    await SqliteStore(name, read_only=is_read_only).open()
        assert not lock_path(other).exists()
        other.unlink()
        async with SqliteStore(path, read_only=True):
            pass


@needs_proc
async def test_a_living_owner_stays_the_owner_without_its_lock_file(path: Path) -> None:
    """Fault 87: somebody removed the lock file."""
    async with process("hold", path) as owner:
        await line_of(owner)
        lock_path(path).unlink()
        for _ in range(2):
            with pytest.raises(JournalBusyError, match=f"process {owner.pid} "):
                await SqliteStore(path).open()


@needs_proc
async def test_a_living_owner_stays_the_owner_of_a_file_that_was_moved(path: Path) -> None:
    """Fault 87: its log stays behind, so the database itself must know."""
    async with process("hold", path) as owner:
        await line_of(owner)
        moved = path.with_name("moved.db")
        path.rename(moved)
        with pytest.raises(JournalBusyError, match=f"process {owner.pid} "):
            await SqliteStore(moved).open()


async def test_a_journal_whose_owner_in_this_process_is_gone_opens_again(path: Path) -> None:
    """Its row may stay, where it could not be deleted: the process lives, its journal does not."""
    async with SqliteStore(path):
        shutil.copy(path, path.with_name("copy.db"))  # with the row
    async with SqliteStore(path.with_name("copy.db")) as journal:
        assert not [job async for job in journal.jobs()]


@needs_proc
async def test_a_second_journal_of_this_process_is_rejected_without_the_lock_file(
    path: Path,
) -> None:
    """Fault 87."""
    async with SqliteStore(path):
        lock_path(path).unlink()
        with pytest.raises(JournalBusyError) as caught:
            await SqliteStore(path).open()
        assert caught.value.pid == os.getpid()


@needs_proc
async def test_a_child_that_is_being_started_does_not_keep_a_closed_journal(path: Path) -> None:
    async with SqliteStore(path):
        files = Path("/proc/self/fd").iterdir()
        (held,) = [file for file in files if _is_link_to(file, lock_path(path))]
        child = os.dup(int(held.name))  # as a child has it between its fork and its exec
    try:
        async with SqliteStore(path):
            pass
    finally:
        os.close(child)


def _is_link_to(file: Path, target: Path) -> bool:
    with suppress(OSError):
        return file.readlink() == target.resolve()
    return False
