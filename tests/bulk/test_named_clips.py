"""Clips that are named after their sources, on a whole client and emulator."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import closing
from pathlib import Path

import pytest

from kling_effects_async import (
    BulkItem,
    CallbackReceiver,
    ClipNameTakenError,
    Done,
    DownloadError,
    DualImageEffect,
    EffectsClient,
    Failed,
    JobState,
    SettingsError,
    SingleImageEffect,
)
from kling_effects_async.effects import Effect
from kling_effects_async.emulator import Clips, Emulator
from tests.support.submits import QUICK

NAME = "{stem}-{scene}"


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(clips=Clips.STOCK, speed=600, task_seconds=30.0) as one:
        yield one


def squish(address: str) -> SingleImageEffect:
    return SingleImageEffect("squish", image=f"https://img.example/{address}.jpg")


CATS = [squish(f"{folder}/cat") for folder in "abc"]


async def outcomes_of(
    client: EffectsClient,
    effects: Iterable[Effect | BulkItem],
    folder: Path,
    *,
    name: str | None = NAME,
    run: str = "r",
) -> list[Done | Failed]:
    """In the order of the source."""
    run_many = client.run_many(effects, run=run, download_to=folder, name=name, ordered=True)
    return [outcome async for outcome in run_many]


async def named(
    client: EffectsClient,
    effects: Iterable[Effect | BulkItem],
    folder: Path,
    *,
    name: str | None = NAME,
    run: str = "r",
) -> list[str]:
    """The names of the files, in the order of the source."""
    names = []
    for outcome in await outcomes_of(client, effects, folder, name=name, run=run):
        assert isinstance(outcome, Done), outcome
        assert outcome.path is not None
        assert outcome.path.read_bytes()[4:8] == b"ftyp"
        assert outcome.path.parent == folder
        names.append(outcome.path.name)
    return names


@pytest.mark.parametrize("has_journal", [False, True])
@pytest.mark.usefixtures("unguarded")
async def test_collisions_are_numbered_in_the_order_of_the_source(
    emulator: Emulator, cat: Path, tmp_path: Path, has_journal: bool
) -> None:
    """The image that takes the longest to read comes first."""
    effects: list[Effect] = [
        SingleImageEffect("squish", image=cat),
        *CATS,
        DualImageEffect("hug", left=cat, right="https://img.example/dog.png"),
        squish("CAT"),
    ]
    journal = tmp_path / "jobs.db" if has_journal else None
    async with emulator.client(journal=journal, **QUICK) as client:
        assert await named(client, effects, tmp_path / "clips") == [
            "cat-squish.mp4",
            "cat-squish-2.mp4",
            "cat-squish-3.mp4",
            "cat-squish-4.mp4",
            "cat-dog-hug.mp4",
            "CAT-squish-5.mp4",
        ]


@pytest.mark.usefixtures("unguarded")
async def test_the_same_effect_twice_is_one_clip_of_one_name(
    emulator: Emulator, cat: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "dog.jpg"
    copy.write_bytes(cat.read_bytes())
    effects = [SingleImageEffect("squish", image=image) for image in (cat, copy, cat)]
    async with emulator.client(**QUICK) as client:
        assert await named(client, effects, tmp_path / "clips") == ["cat-squish.mp4"] * 3
    assert emulator.requests["download"] == 1
    assert emulator.ledger.total == 1


@pytest.mark.usefixtures("unguarded")
async def test_a_job_keeps_its_name_whatever_the_order_is_later(
    emulator: Emulator, tmp_path: Path
) -> None:
    journal, folder = tmp_path / "jobs.db", tmp_path / "clips"
    async with emulator.client(journal=journal, **QUICK) as client:
        await named(client, CATS, folder)
    async with emulator.client(journal=journal, **QUICK) as client:
        again = [squish("new/cat"), *reversed(CATS)]
        assert await named(client, again, folder, name="{scene} of {stem}") == [
            "squish of cat.mp4",
            "cat-squish-3.mp4",
            "cat-squish-2.mp4",
            "cat-squish.mp4",
        ]
        assert await named(client, CATS, folder, run="another") == [
            "cat-squish-4.mp4",
            "cat-squish-5.mp4",
            "cat-squish-6.mp4",
        ]
    assert emulator.requests["download"] == 7
    assert emulator.ledger.total == 7


async def test_names_that_were_chosen_and_not_written_down_are_chosen_again(
    emulator: Emulator, tmp_path: Path
) -> None:
    """Fault 24: a process that is killed in the middle of a batch."""
    journal, folder = tmp_path / "jobs.db", tmp_path / "clips"
    async with emulator.client(journal=journal, **QUICK) as client:
        before = paths_of(await outcomes_of(client, CATS, folder))
    with closing(sqlite3.connect(journal)) as database, database:
        database.execute("DELETE FROM transitions WHERE job = 2")
        database.execute("DELETE FROM jobs WHERE id = 2")
    (folder / "cat-squish-2.mp4").unlink()
    async with emulator.client(journal=journal, **QUICK) as client:
        after = paths_of(await outcomes_of(client, CATS, folder))
    assert after == before
    assert emulator.requests["submit"] > len(CATS)  # one of them was not written down


def paths_of(outcomes: Iterable[Done | Failed]) -> dict[str, Path | None]:
    return {o.external_task_id: o.path for o in outcomes if isinstance(o, Done)}


@pytest.mark.parametrize("has_journal", [False, True])
@pytest.mark.usefixtures("unguarded")
async def test_a_file_of_somebody_else_is_left_alone_and_nothing_is_sent(
    emulator: Emulator, tmp_path: Path, has_journal: bool
) -> None:
    """Fault 54: target exists."""
    taken = tmp_path / "clips" / "cat-squish.mp4"
    taken.parent.mkdir()
    taken.write_bytes(b"mine")
    journal = tmp_path / "jobs.db" if has_journal else None
    async with emulator.client(journal=journal, **QUICK) as client:
        first, second = await outcomes_of(client, CATS[:2], taken.parent)
        assert isinstance(first, Failed)
        assert isinstance(first.error, ClipNameTakenError)
        assert "move it away" in str(first.error)
        assert isinstance(second, Done)
        assert (taken.read_bytes(), emulator.ledger.total) == (b"mine", 1)
        taken.unlink()
        assert await named(client, CATS[:1], taken.parent) == ["cat-squish.mp4"]


@pytest.mark.parametrize("is_changed", [False, True])
@pytest.mark.usefixtures("unguarded")
async def test_a_file_that_came_before_the_death_is_compared_with_the_clip(
    emulator: Emulator, tmp_path: Path, is_changed: bool
) -> None:
    """Fault 25: killed when the clip had its name, and the journal did not know."""
    journal, folder = tmp_path / "jobs.db", tmp_path / "clips"
    async with emulator.client(journal=journal, **QUICK) as client:
        await named(client, CATS[:1], folder)
    with closing(sqlite3.connect(journal)) as database, database:
        database.execute("UPDATE jobs SET state = 'succeeded', path = NULL")
    path = folder / "cat-squish.mp4"
    if is_changed:
        path.write_bytes(path.read_bytes() + b"\0")
    before = path.read_bytes()
    async with emulator.client(journal=journal, **QUICK) as client:
        (outcome,) = [each async for each in client.resume(download_to=folder)]
        (job,) = [job async for job in client.jobs()]
    if is_changed:
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, DownloadError)
        assert job.state is JobState.SUCCEEDED
    else:
        assert isinstance(outcome, Done)
        assert outcome.path == path
        assert job.state is JobState.DOWNLOADED
    assert path.read_bytes() == before
    assert list(folder.iterdir()) == [path]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text there")
@pytest.mark.usefixtures("unguarded")
async def test_a_folder_whose_name_is_no_text_is_as_good(
    emulator: Emulator, tmp_path: Path
) -> None:
    folder = tmp_path / "cl\udcffips"
    async with emulator.client(journal=tmp_path / "jobs.db", **QUICK) as client:
        (unnamed,) = await outcomes_of(client, CATS[:1], folder, name=None)
        assert isinstance(unnamed, Done), unnamed
        assert await named(client, CATS[1:], folder) == ["cat-squish.mp4", "cat-squish-2.mp4"]
        (folder / "cat-squish-3.mp4").write_bytes(b"mine")
        (taken,) = await outcomes_of(client, CATS[:1], folder, run="another")
    assert isinstance(taken, Failed)
    assert isinstance(taken.error, ClipNameTakenError)
    assert emulator.ledger.total == 3


@pytest.mark.usefixtures("unguarded")
async def test_a_batch_without_a_journal_that_is_run_again_takes_its_files_up(
    emulator: Emulator, tmp_path: Path
) -> None:
    """The service's list has the tasks; what the files are, only their bytes tell."""
    for _ in range(2):
        async with emulator.client(**QUICK) as client:
            assert await named(client, CATS[:2], tmp_path) == ["cat-squish.mp4", "cat-squish-2.mp4"]
    assert emulator.ledger.total == 2
    assert len(list(tmp_path.iterdir())) == 2


async def test_what_is_no_file_is_never_waited_for(emulator: Emulator, tmp_path: Path) -> None:
    journal, folder = tmp_path / "jobs.db", tmp_path / "clips"
    async with emulator.client(journal=journal, **QUICK) as client:
        await named_only(client, folder)
        (folder / "cat-squish.mp4").mkdir(parents=True)
        (outcome,) = [each async for each in client.resume(download_to=folder)]
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, DownloadError)


async def named_only(client: EffectsClient, folder: Path) -> None:
    """A run that is left once its job is accepted."""
    run = client.run_many(CATS[:1], run="r", download_to=folder, name=NAME)
    first = asyncio.ensure_future(anext(run))
    while not [job async for job in client.jobs(states={JobState.ACCEPTED})]:
        pass
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await run.aclose()


@pytest.mark.parametrize("is_elsewhere", [False, True])
async def test_a_resumed_job_has_its_recorded_name(
    emulator: Emulator, tmp_path: Path, is_elsewhere: bool
) -> None:
    journal, folder = tmp_path / "jobs.db", tmp_path / "clips"
    async with emulator.client(journal=journal, **QUICK) as client:
        await named_only(client, folder)
    folder = tmp_path / "elsewhere" if is_elsewhere else folder
    async with emulator.client(journal=journal, **QUICK) as client:
        (outcome,) = [each async for each in client.resume(download_to=folder)]
        assert isinstance(outcome, Done)
        assert (outcome.path, outcome.item) == (folder / "cat-squish.mp4", None)
        (job,) = [job async for job in client.jobs()]
        assert (job.download_to, job.clip_name) == (str(folder), "cat-squish.mp4")


async def test_a_job_that_is_resumed_elsewhere_takes_no_name_of_a_job_there(
    emulator: Emulator, tmp_path: Path
) -> None:
    """Each has its name in the order of the journal."""
    journal, here, there = tmp_path / "jobs.db", tmp_path / "here", tmp_path / "there"
    async with emulator.client(journal=journal, **QUICK) as client:
        for number, folder in enumerate((here, there)):
            await named(client, [CATS[number]], folder)
    with closing(sqlite3.connect(journal)) as database, database:
        database.execute("UPDATE jobs SET state = 'succeeded', path = NULL")
    (there / "cat-squish.mp4").unlink()
    async with emulator.client(journal=journal, **QUICK) as client:
        resumed = [each async for each in client.resume(download_to=there)]
    names = {each.path.name for each in resumed if isinstance(each, Done) and each.path}
    assert names == {"cat-squish.mp4", "cat-squish-2.mp4"}


async def test_a_name_with_the_tasks_id_is_recorded_before_there_is_one(
    emulator: Emulator, tmp_path: Path
) -> None:
    journal, folder = tmp_path / "jobs.db", tmp_path / "clips"
    async with emulator.client(journal=journal, **QUICK) as client:
        run = client.run_many(CATS, download_to=folder, name="{stem}-{task_id}")
        first = asyncio.ensure_future(anext(run))
        while len([job async for job in client.jobs()]) < len(CATS):
            pass
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await run.aclose()
    async with emulator.client(journal=journal, **QUICK) as client:
        resumed = [each async for each in client.resume(download_to=folder)]
    assert len(resumed) == len(CATS)
    for outcome in resumed:
        assert isinstance(outcome, Done)
        assert outcome.path == folder / f"cat-{outcome.result.task_id}.mp4"


async def test_a_named_job_is_written_down_with_the_address_for_callbacks(
    emulator: Emulator, tmp_path: Path
) -> None:
    receiver = CallbackReceiver("https://bot.example/kling")
    journal = tmp_path / "jobs.db"
    async with emulator.client(journal=journal, callbacks=receiver, **QUICK) as client:
        await named(client, CATS[:1], tmp_path / "clips")
        (job,) = [job async for job in client.jobs()]
    assert (job.callback_url or "").startswith("https://bot.example/kling/")


async def test_an_image_that_is_rejected_holds_up_no_name(
    emulator: Emulator, tmp_path: Path
) -> None:
    missing = SingleImageEffect("squish", image=tmp_path / "cat.jpg")
    async with emulator.client(**QUICK) as client:
        outcomes = await outcomes_of(client, [missing, CATS[0], missing, CATS[1]], tmp_path)
    assert [getattr(outcome, "path", None) for outcome in outcomes] == [
        None,
        tmp_path / "cat-squish.mp4",
        None,
        tmp_path / "cat-squish-2.mp4",
    ]


async def test_a_name_of_an_item_comes_before_that_of_the_call(
    emulator: Emulator, tmp_path: Path
) -> None:
    items: list[Effect | BulkItem] = [
        BulkItem(CATS[0], name="order 7"),
        BulkItem(CATS[1]),
        BulkItem(CATS[2], name="Order 7.mp4"),
        squish("dog"),
    ]
    async with emulator.client(**QUICK) as client:
        names = await named(client, items, tmp_path, name="{index} {stem}")
        assert names == ["order 7.mp4", "2 cat.mp4", "Order 7-2.mp4", "4 dog.mp4"]
        (outcome,) = await outcomes_of(client, [squish("owl")], tmp_path, name=None)
        assert isinstance(outcome, Done)
        assert outcome.path == tmp_path / f"{outcome.result.task_id}.mp4"


async def test_a_wrong_name_is_reported_at_the_call(emulator: Emulator, tmp_path: Path) -> None:
    async with emulator.client() as client:
        with pytest.raises(SettingsError, match="unknown field"):
            client.run_many(CATS, download_to=tmp_path, name="{picture}")
        with pytest.raises(SettingsError, match="download_to=folder too"):
            client.run_many(CATS, name=NAME)
        with pytest.raises(TypeError, match=r"^name must be a str such as"):
            client.run_many(CATS, download_to=tmp_path, name=5)  # type: ignore[arg-type]  # the mistake
    assert emulator.requests.total() == 0
