"""Every public name as a caller uses it, with the type that mypy and pyright must find.

No test imports this file: ``nox -s types`` reads it with both checkers. Each ``type: ignore`` is a
mistake that both must find, because an ignore that is not needed is an error. ``test_public_names``
requires every public name here.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import assert_never, assert_type

import aiohttp
from aiohttp import web

from kling_effects_async import (
    MAX_VIDEO_BYTES,
    AccessKeys,
    AccountChangedError,
    AccountError,
    ApiError,
    AuthenticationError,
    BearerToken,
    Budget,
    BudgetExceededError,
    BulkItem,
    CallbackAnswer,
    CallbackMessage,
    CallbackReceiver,
    CallbackStats,
    CallbackVerdict,
    ClientClosedError,
    ClientDrainingError,
    ClientOptions,
    ClientStats,
    ClipNameTakenError,
    ConcurrencyLimitError,
    ContentRejectedError,
    Credentials,
    Done,
    DownloadError,
    DualImageEffect,
    Effect,
    EffectRejectedError,
    EffectResult,
    EffectsClient,
    EffectTask,
    Estimate,
    Event,
    EventStream,
    ExternalIdTakenError,
    Failed,
    Finding,
    IdempotencyConflictError,
    ImageFacts,
    ImageRejectedError,
    ImageSource,
    ImageUnreadableError,
    InvalidRequestError,
    Job,
    JobAccepted,
    JobCancelled,
    JobQueued,
    JobRejected,
    JobState,
    JobStateError,
    JobSubmitted,
    JobUncertain,
    Journal,
    JournalBusyError,
    JournalDamagedError,
    JournalError,
    JournalFullError,
    JournalVersionError,
    KlingEffectsError,
    NetworkError,
    Outcome,
    PollPolicy,
    PreparedImage,
    ProxyError,
    RateLimitError,
    ReplyError,
    RequestTimeoutError,
    ResultMissingError,
    RetryPolicy,
    Scene,
    SceneEstimate,
    SceneInfo,
    Scope,
    Service,
    ServiceError,
    Settings,
    SettingsError,
    SharePolicy,
    SingleImageEffect,
    SlotPolicy,
    SlotsChanged,
    SubmissionUncertainError,
    SubmitPolicy,
    TaskChanged,
    TaskEnded,
    TaskFailedError,
    TaskListing,
    TaskNotFoundError,
    TaskPage,
    TaskSnapshot,
    TaskStatus,
    TaskTimeoutError,
    Telemetry,
    TlsError,
    Transition,
    TransportError,
    UnknownSceneWarning,
    Video,
    VideoExpiredError,
    VideoStream,
    catalogue,
    check_image,
    derived_id,
    prepare,
)
from kling_effects_async import EffectClient as EffectClient  # type: ignore[attr-defined]
from kling_effects_async.testing import ManualClock

# -- effects and scenes


def effects(path: Path) -> list[Effect]:
    sources: list[ImageSource] = [path, "https://img.example/cat.jpg", b"\xff\xd8"]
    single = SingleImageEffect(Scene.SQUISH, image=path, model_name="kling-v1-6", duration_s=5)
    dual = DualImageEffect("hug", left=path, right=b"", model_name=None, mode="std", duration_s=10)
    assert_type(single.scene, str)
    assert_type(single.image, ImageSource)
    assert_type(single.duration_s, int | None)
    assert_type((dual.left, dual.right), tuple[ImageSource, ImageSource])
    assert_type(dual.images, tuple[ImageSource, ...])
    assert_type(derived_id(single, salt="order-42"), str)
    return [single, dual, *(SingleImageEffect("squish", image=source) for source in sources)]


def wrong_effects(path: Path, effect: SingleImageEffect) -> None:
    SingleImageEffect("squish")  # type: ignore[call-arg]
    SingleImageEffect("squish", path)  # type: ignore[call-arg]
    SingleImageEffect("squish", image=5)  # type: ignore[arg-type]
    SingleImageEffect("squish", image=path, duration_s="5")  # type: ignore[arg-type]
    SingleImageEffect(5, image=path)  # type: ignore[arg-type]
    DualImageEffect("hug", image=path)  # type: ignore[call-arg]
    effect.scene = "expansion"  # type: ignore[misc]
    derived_id(path)  # type: ignore[arg-type]


def scenes() -> None:
    assert_type(catalogue(), Mapping[str, SceneInfo])
    info = catalogue()["squish"]
    assert_type((info.images, info.durations_s), tuple[int, tuple[int, ...]])
    assert_type((info.name_en, info.name_zh, info.ended), tuple[str, str | None, str | None])
    assert_type(info.is_listed, bool)


# -- whom to ask


def services(environ: Mapping[str, str]) -> None:
    assert_type(Service.vapi(), Service)
    assert_type(Service.official("beijing"), Service)
    assert_type(Service.gateway("https://gateway.example"), Service)
    assert_type(Service.named("singapore").base_url, str)
    settings = Settings.from_env(environ)
    assert_type(settings.credentials, Credentials)
    assert_type(Settings.from_toml("[kling]").service, Service)
    keys: list[Credentials] = [BearerToken("sk-..."), AccessKeys("access", "secret")]
    EffectsClient(keys[0], service=settings.service)


def wrong_services() -> None:
    BearerToken()  # type: ignore[call-arg]
    BearerToken(b"sk-...")  # type: ignore[arg-type]
    AccessKeys("access")  # type: ignore[call-arg]
    Service.gateway()  # type: ignore[call-arg]
    Settings.from_env("KLING_API_KEY")  # type: ignore[arg-type]


# -- policies: seconds and counts are numbers


def policies() -> tuple[PollPolicy, RetryPolicy, SlotPolicy, SubmitPolicy]:
    assert_type(PollPolicy(deadline_s=90).deadline_s, float)
    assert_type(RetryPolicy(attempts=3).attempts, int)
    assert_type(RetryPolicy().pause_s(1, None, lambda: 0.5), float)
    assert_type(SlotPolicy(start=5).maximum, int)
    assert_type(SharePolicy(weights={"vip": 3}, max_per_share=4).weight_of("vip"), int)
    assert_type(SubmitPolicy(on_taken="adopt").on_uncertain, str)
    assert_type(MAX_VIDEO_BYTES, int)
    return PollPolicy(), RetryPolicy(), SlotPolicy(), SubmitPolicy()


def wrong_policies(policy: PollPolicy) -> None:
    PollPolicy(deadline_s="90")  # type: ignore[arg-type]
    PollPolicy(90)  # type: ignore[call-arg]
    PollPolicy(timeout_s=90)  # type: ignore[call-arg]
    PollPolicy(parallel=1.5)  # type: ignore[arg-type]
    RetryPolicy(max_pause_s=None)  # type: ignore[arg-type]
    SlotPolicy(start="5")  # type: ignore[arg-type]
    SubmitPolicy(look_up_first="yes")  # type: ignore[arg-type]
    policy.deadline_s = 90  # type: ignore[misc]


# -- the client


async def clients(journal: Journal, session: aiohttp.ClientSession) -> None:
    options: ClientOptions = {"journal": "jobs.db", "poll": PollPolicy(), "budget_units": "3.5"}
    assert_type(EffectsClient.from_env(**options), EffectsClient)
    assert_type(EffectsClient.from_env({"KLING_API_KEY": "..."}), EffectsClient)
    EffectsClient.from_env(service=Service.vapi(), journal=journal, budget_units=Decimal(100))
    poll, retry, slots, submit = policies()
    client = EffectsClient(
        BearerToken("sk-..."),
        service=Service.vapi(),
        journal=Path("jobs.db"),
        account="studio",
        budget_units=100,
        poll=poll,
        retry=retry,
        slots=slots,
        shares=SharePolicy(max_per_share=4),
        submit=submit,
        session=session,
        proxy="http://proxy.example:3128",
        trust_env=True,
        on_event=print,
        telemetry=Telemetry(),
        clock=ManualClock(),
        rng=lambda: 0.5,
    )
    async with client as opened:
        assert_type(opened, EffectsClient)
    assert_type(await client.aclose(), None)
    assert_type((client.service, client.account), tuple[Service, str])
    client.drain()
    assert_type(client.stats(), ClientStats)
    assert_type(client.stats().waiting_by_share, Mapping[str, int])
    assert_type(client.queue_position("order-42"), int | None)
    assert_type((client.stats().slots, client.stats().held_back_by), tuple[int, str])
    assert_type((client.stats().slots_reason, client.stats().uncertain), tuple[str, int])
    assert_type((client.stats().polls, client.stats().last_lag_s), tuple[int, float | None])
    assert_type(await client.budget(), Budget)
    estimate = await client.estimate({"squish": 300})
    assert_type(estimate, Estimate)
    assert_type(estimate.scenes, tuple[SceneEstimate, ...])
    assert_type((estimate.units[0], estimate.seconds), tuple[Decimal, tuple[float, float] | None])
    assert_type((await client.budget()).left_units, Decimal | None)
    assert_type(await client.job("order-1"), Job | None)
    assert_type([job async for job in client.jobs(states={JobState.UNCERTAIN})], list[Job])
    assert_type([job async for job in client.jobs(states=iter(JobState))], list[Job])
    task = client.attach("t1")
    assert_type(await task.recall(), TaskSnapshot | None)
    assert_type(task.expected_end, tuple[datetime, datetime] | None)


async def listeners(client: EffectsClient) -> None:
    assert_type(client.events(), EventStream)
    async with client.events(max_waiting=10) as stream:
        async for event in stream:
            assert_type(event, Event)
            match event:
                case JobQueued() | JobSubmitted() | JobAccepted() | JobCancelled():
                    assert_type((event.at, event.scene), tuple[datetime, str])
                    assert_type(
                        (event.external_task_id, event.task_id), tuple[str | None, str | None]
                    )
                case TaskChanged():
                    assert_type(event.snapshot, TaskSnapshot)
                case TaskEnded():
                    assert_type((event.duration_s, event.lag_s), tuple[float | None, float | None])
                    assert_type(event.units, Decimal | None)
                case JobRejected():
                    assert_type(event.error, KlingEffectsError)
                case JobUncertain():
                    assert_type(event.reason, str)
                case SlotsChanged():
                    assert_type((event.size, event.running, event.reason), tuple[int, int, str])
                case _:
                    assert_never(event)
    assert_type(stream.dropped, int)


async def callbacks(headers: Mapping[str, str], body: bytes, keys: BearerToken) -> int:
    receiver = CallbackReceiver("https://bot.example/kling", secrets=["whsec_..."])
    EffectsClient(keys, callbacks=receiver)
    assert_type(receiver.stats, CallbackStats)
    answer = await receiver.receive(headers, body, path="/kling/token")
    assert_type(answer, CallbackAnswer)

    def take(message: CallbackMessage) -> bool:
        assert_type(message.snapshot, TaskSnapshot)
        return message.verdict is CallbackVerdict.SIGNED

    receiver.subscribe("token", take)()
    EffectsClient(keys, callbacks="https://bot.example/kling")  # type: ignore[arg-type]
    CallbackReceiver("https://bot.example/kling", token="...")  # type: ignore[call-arg]
    return answer.status


def wrong_clients(environ: Mapping[str, str]) -> None:
    EffectsClient()  # type: ignore[call-arg]
    EffectsClient("sk-...")  # type: ignore[arg-type]
    EffectsClient(BearerToken("sk-..."), Service.vapi())  # type: ignore[call-arg]
    EffectsClient(BearerToken("sk-..."), jurnal="x.db")  # type: ignore[call-arg]
    EffectsClient(BearerToken("sk-..."), poll=90)  # type: ignore[arg-type]
    EffectsClient(BearerToken("sk-..."), poll=PollPolicy)  # type: ignore[arg-type]
    EffectsClient(BearerToken("sk-..."), retry=PollPolicy())  # type: ignore[arg-type]
    EffectsClient(BearerToken("sk-..."), service="vapi")  # type: ignore[arg-type]
    EffectsClient(BearerToken("sk-..."), budget_units=3.5)  # type: ignore[arg-type]
    EffectsClient.from_env(jurnal="x.db")  # type: ignore[call-arg]
    EffectsClient.from_env(environ, poll="90")  # type: ignore[arg-type]
    EffectsClient.from_env(environ, trust_env="yes")  # type: ignore[arg-type]
    EffectsClient.from_env(environ, journal=5)  # type: ignore[arg-type]
    EffectsClient.from_env("sk-...")  # type: ignore[arg-type]


# -- one task


async def one_task(client: EffectsClient, effect: Effect) -> None:
    task = await client.submit(effect, external_task_id="order-42", callback_url="https://x.y")
    assert_type(task, EffectTask)
    assert_type((task.task_id, task.external_task_id), tuple[str | None, str | None])
    assert_type(task.latest, TaskSnapshot | None)
    assert_type(task.latest_failure, Exception | None)
    assert_type(await task, EffectResult)
    assert_type(await task.result(), EffectResult)
    assert_type(await task.refresh(), TaskSnapshot)
    async for snapshot in task:
        assert_type(snapshot, TaskSnapshot)
    assert_type(client.attach("CmYgjmbyMToAAAAAAF6svw"), EffectTask)
    assert_type(client.attach(external_task_id="order-42"), EffectTask)
    assert_type(await client.run(effect, external_task_id="order-42"), EffectResult)


async def wrong_tasks(client: EffectsClient, effect: Effect, task: EffectTask) -> None:
    await client.submit(Path("cat.jpg"))  # type: ignore[arg-type]
    await client.submit([effect])  # type: ignore[arg-type]
    await client.submit(effect, "order-42")  # type: ignore[call-arg]
    await client.submit(effect, external_task_id=42)  # type: ignore[arg-type]
    await client.run(effect, timeout=90)  # type: ignore[call-arg]
    await client.attach(42)  # type: ignore[arg-type]
    _ = task.id  # type: ignore[attr-defined]
    task.cancel()  # type: ignore[attr-defined]
    for _snapshot in task:  # type: ignore[attr-defined]
        pass
    await task.latest  # type: ignore[misc]
    async with task:  # type: ignore[attr-defined]
        pass


def snapshots(result: EffectResult, snapshot: TaskSnapshot) -> None:
    assert_type(result.video, Video)
    assert_type(result.videos, tuple[Video, ...])
    assert_type((result.task_id, result.external_task_id), tuple[str, str | None])
    assert_type((result.units, result.created_at), tuple[Decimal | None, datetime | None])
    assert_type((result.video.url, result.video.id), tuple[str, str | None])
    assert_type((snapshot.status, snapshot.raw_status), tuple[TaskStatus, str])
    assert_type((snapshot.is_final, TaskStatus.FAILED.is_final), tuple[bool, bool])
    assert_type((snapshot.message, snapshot.videos), tuple[str, tuple[Video, ...]])
    snapshot.status = TaskStatus.FAILED  # type: ignore[misc]


# -- many tasks


async def many_tasks(client: EffectsClient, effects: Sequence[Effect]) -> None:
    async def drawn() -> AsyncIterator[Effect]:
        for effect in effects:
            yield effect

    item = BulkItem(
        effects[0], external_task_id="order-42", share="user-17", name="order 42", stem="a"
    )
    assert_type((item.effect, item.share, item.name), tuple[Effect, str | None, str | None])
    client.run_many([item, effects[0]], download_to="clips", name="{stem}-{scene}")
    client.submit_many([item])
    outcomes = client.run_many(effects, run="summer", ordered=True, download_to=Path("clips"))
    assert_type(outcomes, AsyncGenerator[Outcome, None])
    async with aclosing(outcomes):
        async for outcome in outcomes:
            match outcome:
                case Done():
                    assert_type((outcome.result, outcome.path), tuple[EffectResult, Path | None])
                case Failed():
                    assert_type((outcome.error, outcome.effect), tuple[Exception, Effect | None])
                    assert_type(outcome.item, Effect | BulkItem | None)
                case _:
                    assert_never(outcome)
    async for outcome in client.run_many(drawn()):
        assert_type(outcome.external_task_id, str)
    async for task in client.submit_many([SingleImageEffect("squish", image=b"")], run="summer"):
        assert_type(task, EffectTask | Failed)
    async for outcome in client.resume(download_to="clips"):
        assert_type(outcome, Done | Failed)


async def wrong_many(client: EffectsClient, effect: Effect, effects: list[Effect]) -> None:
    client.run_many("cat.jpg")  # type: ignore[arg-type]
    client.run_many(effect)  # type: ignore[arg-type]
    client.run_many([Path("cat.jpg")])  # type: ignore[list-item]
    client.run_many(effects, "summer")  # type: ignore[call-arg]
    client.run_many(effects, run=2026)  # type: ignore[arg-type]
    BulkItem(effect, "order-42")  # type: ignore[call-arg]
    BulkItem("cat.jpg")  # type: ignore[arg-type]
    client.submit_many("cat.jpg")  # type: ignore[arg-type]
    client.resume("clips")  # type: ignore[call-arg]
    await client.run_many(effects)  # type: ignore[misc]
    for _outcome in client.run_many(effects):  # type: ignore[attr-defined]
        pass


# -- lists and clips


async def lists(client: EffectsClient) -> None:
    listing = client.list_tasks(page=1, page_size=500)
    assert_type(listing, TaskListing)
    page = await listing
    assert_type(page, TaskPage)
    assert_type((page.tasks, page.unreadable, len(page)), tuple[tuple[TaskSnapshot, ...], int, int])
    async for snapshot in listing:
        assert_type(snapshot, TaskSnapshot)
    async for each in listing.pages():
        assert_type(each, TaskPage)
    client.list_tasks(page="1")  # type: ignore[arg-type]
    client.list_tasks(1)  # type: ignore[call-arg]


async def clips(client: EffectsClient, video: Video) -> None:
    def show(done_bytes: int, total_bytes: int | None) -> None: ...

    path = await client.download(
        video, "clip.mp4", overwrite=True, max_bytes=2**20, on_progress=show
    )
    assert_type(path, Path)
    await client.download(video.url, "clip.mp4")  # type: ignore[call-overload]
    await client.download(video, "clip.mp4", True)  # type: ignore[call-overload]
    await client.download(video, b"clip.mp4")  # type: ignore[call-overload]
    await client.download(video, "clip.mp4", on_progress=len)  # type: ignore[arg-type]
    await client.download(video)  # type: ignore[call-overload]


async def clips_as_they_come(
    client: EffectsClient, video: Video, writer: asyncio.StreamWriter, response: web.StreamResponse
) -> None:
    assert_type(await client.download(video, io.BytesIO(), max_bytes=2**20), int)
    assert_type(await client.download(video, writer), int)
    assert_type(await client.download(video, response), int)
    await client.download(video, io.StringIO())  # type: ignore[call-overload]
    await client.download(video, io.BytesIO(), overwrite=True)  # type: ignore[call-overload]
    async with client.open_video(video, max_bytes=2**20) as stream:
        assert_type(stream, VideoStream)
        assert_type(stream.size_bytes, int | None)
        assert_type(stream.content_type, str)
        async for chunk in stream:
            assert_type(chunk, bytes)
    client.open_video(video.url)  # type: ignore[arg-type]


def images(path: Path) -> None:
    assert_type(check_image(path, decode=True), ImageFacts)
    assert_type(prepare(path), PreparedImage)
    assert_type(prepare(b"").content, bytes)
    assert_type(prepare(path).changes, tuple[str, ...])
    assert_type(check_image(path).width_px, int)
    check_image("cat.jpg")  # type: ignore[arg-type]


# -- the journal


async def journals(client: EffectsClient) -> None:
    async with Journal("jobs.db", read_only=True) as journal:
        assert_type(journal, Journal)
        async for job in journal.jobs():
            assert_type((job, job.state), tuple[Job, JobState])
        assert_type(await journal.find("order-42"), list[Job])
        assert_type(await journal.counts(), Mapping[JobState, int])
        assert_type(await journal.units_spent("studio"), Decimal)
        assert_type(await journal.adopt("studio-old-key", "studio"), int)
        for step in await journal.history("studio", "order-42"):
            assert_type((step, step.state, step.at), tuple[Transition, JobState, datetime])
    assert_type(await client.look_up("order-42"), Finding)
    assert_type(await client.settle("order-42"), Job)
    assert_type(await client.settle("order-42", resubmit=True), Job)
    assert_type(await client.settle("order-42", abandon=True), Job)


async def wrong_journals(client: EffectsClient) -> None:
    await client.settle()  # type: ignore[call-arg]
    await client.settle(42)  # type: ignore[arg-type]
    await client.settle("order-42", True)  # type: ignore[call-arg]
    await client.settle("order-42", resubmit="yes")  # type: ignore[arg-type]
    await client.settle("order-42", abandon=None)  # type: ignore[arg-type]


# -- errors: what each carries


def errors(error: Exception) -> None:
    match error:
        case BudgetExceededError():
            assert_type((error.limit_units, error.spent_units), tuple[Decimal, Decimal])
        case ImageRejectedError():
            assert_type((error.image, error.problems), tuple[str, tuple[str, ...]])
        case ImageUnreadableError():
            assert_type((error.image, error.reason), tuple[str, str])
        case ExternalIdTakenError():
            assert_type((error.external_task_id, error.task_id), tuple[str, str | None])
        case IdempotencyConflictError():
            assert_type(error.differs, tuple[str, ...])
        case AccountChangedError():
            assert_type((error.account, error.other_account), tuple[str, str])
        case SubmissionUncertainError():
            assert_type((error.external_task_id, error.scene), tuple[str, str])
        case NetworkError() | RequestTimeoutError() | TlsError() | ProxyError():
            assert_type((error.sent, error.retryable), tuple[bool, bool])
        case ReplyError():
            assert_type((error.http_status, error.may_be_accepted), tuple[int | None, bool])
        case TaskNotFoundError():
            assert_type((error.name, error.polls, error.polled_s), tuple[str, int, float])
        case ConcurrencyLimitError() | RateLimitError():
            assert_type(error.retry_after_s, float | None)
        case AuthenticationError() | AccountError() | InvalidRequestError():
            assert_type((error.code, error.message), tuple[int | str | None, str])
        case ContentRejectedError() | ServiceError():
            assert_type((error.request_id, error.scope), tuple[str | None, Scope])
        case TaskFailedError() | ResultMissingError():
            assert_type(error.snapshot, TaskSnapshot)
        case TaskTimeoutError():
            assert_type((error.task_id, error.deadline_s), tuple[str | None, float])
        case JournalBusyError():
            assert_type(
                (error.pid, error.host, error.since), tuple[int | None, str | None, datetime | None]
            )
        case JournalVersionError():
            assert_type((error.ours, error.theirs), tuple[int, int])
        case JournalDamagedError():
            assert_type(error.path, Path | None)
        case JobStateError():
            assert_type((error.external_task_id, error.state), tuple[str, str])
        case _:
            pass


def families() -> tuple[type[KlingEffectsError], ...]:
    as_builtins: list[type[ValueError] | type[TimeoutError] | type[UserWarning]] = [
        EffectRejectedError,
        ImageRejectedError,
        RequestTimeoutError,
        TaskTimeoutError,
        UnknownSceneWarning,
    ]
    assert as_builtins
    no_answer: list[type[TransportError]] = [NetworkError, TlsError, SubmissionUncertainError]
    rejected: list[type[ApiError]] = [AccountError, RateLimitError, TaskNotFoundError]
    journal: list[type[JournalError]] = [JournalFullError, JournalBusyError, JobStateError]
    downloads: list[type[DownloadError]] = [VideoExpiredError]
    others = (SettingsError, ClientClosedError, ClientDrainingError, ClipNameTakenError)
    return (*no_answer, *rejected, *journal, *downloads, *others)
