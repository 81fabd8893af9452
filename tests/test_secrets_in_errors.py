"""Each class of error, raised by a real fault with every secret at hand, shows none of them."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import pytest
from attrs import evolve

from kling_effects_async import (
    AccessKeys,
    BearerToken,
    EffectsClient,
    Failed,
    PollPolicy,
    RetryPolicy,
    Settings,
    errors,
)
from kling_effects_async.emulator import Fault
from tests.support.descriptors import no_descriptor_left
from tests.support.fault_proxy import Ending, answer_instead, cut_answer, whole_answer
from tests.support.marked_secrets import (
    ACCESS,
    CALLBACK_URL,
    EFFECT,
    KEYS,
    NEVER_KEPT,
    NEVER_SHOWN,
    PASSWORD,
    PICTURE,
    REPEATED,
    SECRET,
    Stage,
    leaks,
    repeating,
    shown_of,
    told_of,
)

ErrorClass: TypeAlias = type[errors.KlingEffectsError]
Way: TypeAlias = Callable[[Stage], Awaitable[object]]

CLASSES: list[ErrorClass] = [
    kind
    for _name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.KlingEffectsError)
]
# Only their subclasses are raised; no way leads to themselves.
OTHER_IMAGE = f"https://i.example/b.jpg?X-Amz-Signature={PICTURE}"
BASES: set[ErrorClass] = {errors.KlingEffectsError, errors.ApiError}
WAYS: dict[ErrorClass, Way] = {}
ONE_TRY = RetryPolicy(attempts=1)


def way(kind: ErrorClass) -> Callable[[Way], Way]:
    """Note how an error of this very class comes about."""

    def note(function: Way) -> Way:
        assert kind not in WAYS
        WAYS[kind] = function
        return function

    return note


async def submit(client: EffectsClient, name: str = "order-42", **changes: Any) -> Any:
    """Submit the marked effect, with the marked callback."""
    effect = evolve(EFFECT, **changes)
    return await client.submit(effect, external_task_id=name, callback_url=CALLBACK_URL)


async def rejected(stage: Stage, status: int, code: int, **headers: str) -> None:
    """A submit that the service rejects, repeating all it knows."""
    client = await stage.client(retry=ONE_TRY)
    stage.wire.next(answer_instead(repeating(status, code, **headers), reaches_service=False))
    await submit(client)


# -- nothing was sent


@way(errors.SettingsError)
async def _(stage: Stage) -> None:
    await stage.client(proxy=stage.proxy.replace("http:", "socks5:"))


@way(errors.EffectRejectedError)
async def _(stage: Stage) -> None:
    client = await stage.client()
    await client.submit(EFFECT, callback_url=CALLBACK_URL.replace("http:", "ftp:"))


@way(errors.IdempotencyConflictError)
async def _(stage: Stage) -> None:
    client = await stage.client()
    await submit(client)
    await submit(client, image=OTHER_IMAGE)


@way(errors.ExternalIdTakenError)
async def _(stage: Stage) -> None:
    await submit(await stage.client(journal=None))
    await submit(await stage.client())


@way(errors.AccountChangedError)
async def _(stage: Stage) -> None:
    client = await stage.client(account="old")
    await submit(client)
    await client.aclose()
    await submit(await stage.client(account="new"))


@way(errors.BudgetExceededError)
async def _(stage: Stage) -> None:
    client = await stage.client(budget_units=1)
    await submit(client)
    await submit(client, "order-43")


@way(errors.ImageRejectedError)
async def _(stage: Stage) -> None:
    await submit(await stage.client(), image=b"no picture")


@way(errors.ImageUnreadableError)
async def _(stage: Stage) -> None:
    client = await stage.client()
    picture = stage.folder / "cat.jpg"
    picture.write_bytes(b"never read")
    with no_descriptor_left():
        await submit(client, image=picture)


@way(errors.ClientClosedError)
async def _(stage: Stage) -> None:
    client = await stage.client()
    waiting = asyncio.ensure_future((await submit(client)).result())
    await asyncio.sleep(0)
    await client.aclose()
    await waiting


@way(errors.ClipNameTakenError)
async def _(stage: Stage) -> None:
    client = await stage.client()
    (stage.folder / "clip.mp4").write_bytes(b"another file")
    async for outcome in client.run_many([EFFECT], download_to=stage.folder, name="clip"):
        assert isinstance(outcome, Failed)
        raise outcome.error


@way(errors.ClientDrainingError)
async def _(stage: Stage) -> None:
    client = await stage.client()
    client.drain()
    await submit(client)


# -- no answer


@way(errors.TransportError)
async def _(stage: Stage) -> None:
    async def fail(*_arguments: object) -> None:
        raise ValueError(REPEATED)

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(fail)
    session = await stage.exits.enter_async_context(aiohttp.ClientSession(trace_configs=[trace]))
    await (await stage.client(session=session, retry=ONE_TRY)).list_tasks()


@way(errors.NetworkError)
async def _(stage: Stage) -> None:
    stage.wire.always = cut_answer(9, Ending.RST)
    await (await stage.client(retry=ONE_TRY, proxy=None)).list_tasks()


@way(errors.RequestTimeoutError)
async def _(stage: Stage) -> None:
    stage.wire.always = cut_answer(9, Ending.STALL)
    await (await stage.client(retry=ONE_TRY)).list_tasks()


@way(errors.TlsError)
async def _(stage: Stage) -> None:
    url = stage.wire.url.replace("http:", "https:")
    await submit(await stage.client(url=url, proxy=None))


@way(errors.ProxyError)
async def _(stage: Stage) -> None:
    stage.gate.rejection = 407
    await submit(await stage.client())


@way(errors.SubmissionUncertainError)
async def _(stage: Stage) -> None:
    client = await stage.client()
    stage.wire.next(answer_instead(whole_answer(502, REPEATED.encode()), reaches_service=False))
    await submit(client)


# -- an answer that cannot be read, or that rejects


@way(errors.ReplyError)
async def _(stage: Stage) -> None:
    stage.wire.always = answer_instead(whole_answer(200, REPEATED.encode(), "text/html"))
    await (await stage.client(retry=ONE_TRY)).list_tasks()


@way(errors.AuthenticationError)
async def _(stage: Stage) -> None:
    await rejected(stage, 401, 1000)


@way(errors.AccountError)
async def _(stage: Stage) -> None:
    await rejected(stage, 429, 1102)


@way(errors.InvalidRequestError)
async def _(stage: Stage) -> None:
    await rejected(stage, 400, 1200)


@way(errors.TaskNotFoundError)
async def _(stage: Stage) -> None:
    await (await stage.client()).attach("866889456698785799")


@way(errors.ContentRejectedError)
async def _(stage: Stage) -> None:
    await rejected(stage, 400, 1301)


@way(errors.RateLimitError)
async def _(stage: Stage) -> None:
    await rejected(stage, 429, 1302, Retry_After="1000000000")


@way(errors.ConcurrencyLimitError)
async def _(stage: Stage) -> None:
    await rejected(stage, 429, 1303, Retry_After="1000000000")


@way(errors.ServiceError)
async def _(stage: Stage) -> None:
    stage.wire.always = answer_instead(repeating(500, 5000))
    await (await stage.client(retry=ONE_TRY)).list_tasks()


# -- the journal


async def closed_journal(stage: Stage) -> None:
    """A journal with one job, that no client has open."""
    await submit(await stage.client())
    await stage.exits.aclose()
    await stage.open()


@way(errors.JournalError)
async def _(stage: Stage) -> None:
    stage.journal.write_text(f"[kling]\napi_key = {REPEATED!r}\n" * 100)
    try:
        await stage.client()
    finally:
        stage.journal.unlink()


@way(errors.JournalBusyError)
async def _(stage: Stage) -> None:
    await submit(await stage.client())
    await stage.client()


@way(errors.JournalDamagedError)
async def _(stage: Stage) -> None:
    await closed_journal(stage)
    with closing(sqlite3.connect(stage.journal)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_schema SET sql = 'CREATE TABLE' WHERE name = 'jobs'")
        connection.commit()
    await stage.client()


@way(errors.JournalFullError)
async def _(stage: Stage) -> None:
    import resource  # not on every system

    client = await stage.client()
    await submit(client)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size_bytes = stage.journal.with_name("jobs.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))  # as a full disk
    try:
        for number in range(43, 53):  # the file has room for some, from its beginning
            await submit(client, f"order-{number}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@way(errors.JournalVersionError)
async def _(stage: Stage) -> None:
    await closed_journal(stage)
    with closing(sqlite3.connect(stage.journal)) as connection:
        connection.execute("PRAGMA user_version=99")
    await stage.client()


@way(errors.JobStateError)
async def _(stage: Stage) -> None:
    client = await stage.client()
    await submit(client)
    await client.settle("order-42", resubmit=True)


# -- a task and its video


@way(errors.TaskFailedError)
async def _(stage: Stage) -> None:
    stage.emulator.fail_next(Fault.task_failed(REPEATED))
    await (await submit(await stage.client()))


@way(errors.TaskTimeoutError)
async def _(stage: Stage) -> None:
    client = await stage.client(poll=PollPolicy(deadline_s=9))
    task = await submit(client)
    stage.wire.always = answer_instead(repeating(500, 5000))
    await stage.wire.hang_up()
    await task


@way(errors.ResultMissingError)
async def _(stage: Stage) -> None:
    stage.emulator.fail_next(Fault.no_videos(), times=99)
    stage.emulator.fail_next(Fault.no_videos(on="list"), times=99)
    await (await submit(await stage.client()))


@way(errors.DownloadError)
async def _(stage: Stage) -> None:
    client = await stage.client()
    video = (await (await submit(client))).video
    stage.wire.always = answer_instead(whole_answer(200, REPEATED.encode(), "text/html"))
    await stage.wire.hang_up()
    await client.download(video, stage.folder / "clip.mp4")


@way(errors.VideoExpiredError)
async def _(stage: Stage) -> None:
    client = await stage.client()
    video = (await (await submit(client))).video
    stage.emulator.fail_next(Fault.expired(), times=99)
    await client.download(video, stage.folder / "clip.mp4")


# -- what all of them have to keep


@pytest.fixture
def debugging(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Every logger writes everything."""
    caplog.set_level(logging.DEBUG)
    for name in ("aiohttp", "aiohttp.client", "aiohttp.internal", "asyncio", "kling_effects_async"):
        caplog.set_level(logging.DEBUG, name)
    return caplog


def test_every_class_has_a_way_and_only_bases_have_none() -> None:
    """Fault 67: a new class of error needs a way that leads to it."""
    assert set(CLASSES) - BASES == set(WAYS)


PROXY = f"http://someone:{PASSWORD}@127.0.0.1:1"
TOML = f'[kling]\naccess_key = "{ACCESS}"\nsecret_key = "{SECRET}"\nservice = "nowhere"\n'
ENVIRON = {"KLING_ACCESS_KEY": ACCESS, "KLING_SECRET_KEY": SECRET, "KLING_SERVICE": "nowhere"}
NOT_MADE: dict[str, Callable[[], object]] = {
    "a proxy of another kind": lambda: EffectsClient(
        AccessKeys(*KEYS), proxy=PROXY.replace("http:", "socks5:")
    ),
    "a wrong limit": lambda: EffectsClient(AccessKeys(*KEYS), proxy=PROXY, budget_units=-1),
    "no account": lambda: EffectsClient(AccessKeys(*KEYS), proxy=PROXY, account=""),
    "a wrong type": lambda: EffectsClient(AccessKeys(*KEYS), proxy=PROXY, trust_env="no"),  # type: ignore[arg-type]
    "a key with a line break": lambda: BearerToken(f"{SECRET}\n{ACCESS}"),
    "an access key with a blank": lambda: AccessKeys(f" {ACCESS} a", SECRET),
    "a key of another type": lambda: BearerToken(SECRET.encode()),  # type: ignore[arg-type]
    "a wrong service": lambda: Settings.from_env(ENVIRON),
    "a wrong service in a file": lambda: Settings.from_toml(TOML),
    "a file that is no TOML": lambda: Settings.from_toml(TOML + "]"),
    "a client of a wrong service": lambda: EffectsClient.from_env(ENVIRON, proxy=PROXY),
}


@pytest.mark.parametrize("make", NOT_MADE.values(), ids=NOT_MADE)
def test_what_is_not_made_shows_nothing_of_what_it_was_given(make: Callable[[], object]) -> None:
    """Faults 67, 96: keys and passwords are arguments here, and reports show locals."""
    with pytest.raises((errors.SettingsError, TypeError)) as caught:
        make()
    assert leaks(told_of(caught.value), NEVER_SHOWN) == []
    assert leaks(shown_of(caught.value), NEVER_SHOWN) == []


@pytest.mark.looptime
@pytest.mark.filterwarnings("ignore::kling_effects_async.UnknownSceneWarning")
@pytest.mark.parametrize("kind", WAYS, ids=lambda kind: kind.__name__)
async def test_no_error_shows_a_secret(
    kind: ErrorClass, tmp_path: Path, debugging: pytest.LogCaptureFixture
) -> None:
    """Fault 67: texts, members, pickles, locals of tracebacks, debug logs, reprs, the journal."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0  # it writes about every callback
    async with AsyncExitStack() as exits:
        stage = Stage(tmp_path, exits)
        await stage.open()
        with pytest.raises(kind) as caught:
            await WAYS[kind](stage)
        loop.set_debug(False)
        assert type(caught.value) is kind
        kept = stage.kept()
        reprs = [repr(vars(each)) for each in stage.clients] + [repr(stage.clients)]
    ours = [each for each in debugging.records if each.name.startswith("kling_effects_async")]
    assert all(hasattr(each, "event") for each in ours)  # the fields are searched too, below
    logged = [f"{vars(each)} {each.getMessage()}" for each in debugging.records]
    signatures = stage.signatures
    was_sent = any(b" HTTP/1.1\r\n" in each.request for each in stage.wire.connections)
    assert bool(stage.tokens) is was_sent
    shown = f"{shown_of(caught.value)} {logged} {reprs}"
    measured = stage.recorded.everything
    assert leaks(measured, (*NEVER_SHOWN, *signatures, "://")) == []
    assert leaks(shown, NEVER_SHOWN + signatures) == []
    # The locals of the caller's own calls have the callback's address, as docs/security.md says.
    assert leaks(told_of(caught.value), NEVER_KEPT + signatures) == []
    assert leaks(kept, NEVER_KEPT) == []
