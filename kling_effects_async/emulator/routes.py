"""The paths of the service, and a handler for each."""

from __future__ import annotations

import asyncio
import hmac

from aiohttp import hdrs, web
from attrs import evolve

from kling_effects_async.emulator.app_keys import AUTHENTICATOR, FAULT, NOTE, REQUEST_ID, SERVICE
from kling_effects_async.emulator.bodies import read_body
from kling_effects_async.emulator.costs import COSTS_PATH, MIN_PAUSE_S, costs_reply
from kling_effects_async.emulator.downloads import etag_of, serve_clip
from kling_effects_async.emulator.emulated_reply import EmulatedReply, html_page
from kling_effects_async.emulator.emulated_service import EmulatedService
from kling_effects_async.emulator.faults import Defect, Fault
from kling_effects_async.emulator.json_body import check_content_type
from kling_effects_async.emulator.pictures import are_usable
from kling_effects_async.emulator.rejections import (
    RejectedError,
    gateway_page,
    no_such_path,
    unknown_task,
)
from kling_effects_async.emulator.responses import dialect_of, respond
from kling_effects_async.emulator.submit_request import (
    EmulatedDialect,
    SubmitRequest,
    read_submit_request,
)
from kling_effects_async.emulator.task_replies import list_reply, query_reply, submit_reply
from kling_effects_async.emulator.tasks import Task, TaskView

__all__ = ["EFFECTS_PATHS", "add_routes"]

# Below this, decoding takes less than handing it to a thread and waiting.
_INLINE_BODY_BYTES = 2**18

EFFECTS_PATHS = ("/kling/v1/videos/effects", "/v1/videos/effects")

# Source: K1 effects page, 2026-09: defaults and limits of the list.
_PAGE_NUMBERS = range(1, 1001)
_PAGE_SIZES = range(1, 501)

# Source: K6 account page, 2026-09: both in Unix milliseconds. As far as the year 5138: a choice.
_WINDOW = ("start_time", "end_time")
_MOMENTS_MS = range(10**14)


def add_routes(app: web.Application) -> None:
    for path in EFFECTS_PATHS:
        app.router.add_post(path, submit)
        app.router.add_get(path, list_tasks, allow_head=False)
        app.router.add_get(path + "/{id}", query, allow_head=False)
    app.router.add_get("/media/{task_id}.mp4", download)
    app.router.add_get(COSTS_PATH, costs, allow_head=False)
    app.router.add_route("*", "/{path:.*}", anything_else)


async def submit(request: web.Request) -> web.StreamResponse:
    dialect = _authenticate(request)
    service = request.app[SERVICE]
    submitted, has_usable_images = await _read_submit(request, dialect)
    fault = request.get(FAULT)
    failure = fault.failure if isinstance(fault, Fault) else None
    task = service.accept(submitted, dialect, has_usable_images=has_usable_images, failure=failure)
    request[NOTE] = f"accepted task {task.task_id} ({submitted.effect_scene})"
    view = service.view_at(task.life.accepted_s, task, dialect)
    return respond(submit_reply(view, service.shape(dialect), request[REQUEST_ID]))


async def query(request: web.Request) -> web.StreamResponse:
    dialect = _authenticate(request)
    service = request.app[SERVICE]
    given_id = request.match_info["id"]
    task = service.find(given_id, dialect)
    shape = service.shape(dialect)
    if task is None or _defect(request) is Defect.UNKNOWN_TASK:
        request[NOTE] = "unknown task"
        answer = service.unknown_task(dialect)
        return respond(unknown_task(given_id, answer, shape, request[REQUEST_ID]))
    view = _view(request, task, dialect)
    request[NOTE] = f"task {task.task_id} is {view.word}"
    return respond(query_reply(view, shape, request[REQUEST_ID]))


async def list_tasks(request: web.Request) -> web.StreamResponse:
    dialect = _authenticate(request)
    service = request.app[SERVICE]
    if not service.settings.lists_tasks:
        return respond(_no_such_path(request))
    number = _whole_number(request, "pageNum", 1, _PAGE_NUMBERS)
    size = _whole_number(request, "pageSize", 30, _PAGE_SIZES)
    views = [_view(request, task, dialect) for task in service.page(number, size)]
    request[NOTE] = f"a page of {len(views)} tasks"
    return respond(list_reply(views, service.shape(dialect), request[REQUEST_ID]))


async def costs(request: web.Request) -> web.StreamResponse:
    """The window of time is required and checked, and changes nothing: there is one pack."""
    _authenticate(request)
    service = request.app[SERVICE]
    start_ms, end_ms = (_whole_number(request, name, None, _MOMENTS_MS) for name in _WINDOW)
    if start_ms > end_ms:
        raise RejectedError(1201, "start_time must not be after end_time")
    if not service.may_answer_costs(MIN_PAUSE_S):
        raise RejectedError(1302)
    balance = service.balance
    left_units = balance.left_units(service.clock.now_s())
    return respond(
        costs_reply(balance.total_units, left_units, service.start_s, request[REQUEST_ID])
    )


async def download(request: web.Request) -> web.StreamResponse:
    """No key is needed: the signature in the address is the permission."""
    service = request.app[SERVICE]
    task_id = request.match_info["task_id"]
    given_sign = request.query.get("sign", "").encode(errors="replace")
    # As bytes: compare_digest raises on text outside ASCII.
    if not hmac.compare_digest(given_sign, service.sign(task_id).encode()):
        return respond(html_page(403, "<html><body><h1>403 Forbidden</h1></body></html>"))
    content = await _content_of(service, task_id)
    if not content:
        return respond(html_page(404, "<html><body><h1>404 Not Found</h1></body></html>"))
    return respond(_part_of(request, content))


async def anything_else(request: web.Request) -> web.StreamResponse:
    """Another path or another method. Kling's table has a code for the second: 1202, HTTP 404."""
    served = (EFFECTS_PATHS[1], COSTS_PATH)
    is_served = request.path in served or request.path.rpartition("/")[0] == EFFECTS_PATHS[1]
    # GET has a route of its own on each, so what comes here with GET is another path.
    if is_served and request.method != hdrs.METH_GET:
        raise RejectedError(1202)
    return respond(_no_such_path(request))


def _no_such_path(request: web.Request) -> EmulatedReply:
    request[NOTE] = "no such path"
    if dialect_of(request.path) is EmulatedDialect.GATEWAY:
        return gateway_page()
    return no_such_path(request.rel_url.raw_path, request.app[SERVICE].clock.wall_s())


def _authenticate(request: web.Request) -> EmulatedDialect:
    dialect = dialect_of(request.path)
    wall_s = request.app[SERVICE].clock.wall_s()
    authorization = request.headers.get(hdrs.AUTHORIZATION)
    request.app[AUTHENTICATOR].authenticate(authorization, dialect, wall_s)
    return dialect


async def _read_submit(
    request: web.Request, dialect: EmulatedDialect
) -> tuple[SubmitRequest, bool]:
    """What was submitted, and whether its pictures are usable."""
    check_content_type(request.headers.get(hdrs.CONTENT_TYPE))
    body = await read_body(request)
    service = request.app[SERVICE]
    if len(body) < _INLINE_BODY_BYTES:
        return _examined(body, dialect, service)
    return await asyncio.to_thread(_examined, body, dialect, service)


def _examined(
    body: bytes, dialect: EmulatedDialect, service: EmulatedService
) -> tuple[SubmitRequest, bool]:
    submitted = read_submit_request(
        body,
        dialect,
        service.image_counts,
        requires_model_fields=service.settings.requires_model_fields,
    )
    return submitted, are_usable(submitted.images)


async def _content_of(service: EmulatedService, task_id: str) -> bytes:
    """The video of a task; empty: there is none."""
    clip = service.clip_of(task_id)
    return b"" if clip is None else await clip.read()


def _part_of(request: web.Request, content: bytes) -> EmulatedReply:
    """What the ``Range`` header selects of a video, unless a fault ignores the header."""
    defect = _defect(request)
    etag = etag_of(content)
    return serve_clip(
        content,
        f'"changed-{etag[1:]}' if defect is Defect.CHANGED_ETAG else etag,
        None if defect is Defect.IGNORE_RANGE else request.headers.get(hdrs.RANGE),
        request.headers.get(hdrs.IF_RANGE),
    )


def _whole_number(request: web.Request, name: str, default: int | None, allowed: range) -> int:
    """A number of the query string; ``default=None``: it is required."""
    text = request.query.get(name, "" if default is None else str(default))
    # isdecimal alone takes digits of other scripts, and int() takes thousands of them.
    if not (text.isascii() and text.isdecimal() and len(text) < 16) or int(text) not in allowed:
        raise RejectedError(1201, f"{name} must be from {allowed.start} to {allowed.stop - 1}")
    return int(text)


def _defect(request: web.Request) -> Defect | None:
    fault = request.get(FAULT)
    return fault.defect if isinstance(fault, Fault) else None


def _view(request: web.Request, task: Task, dialect: EmulatedDialect) -> TaskView:
    """The task at this moment, changed by the fault of this request, if it has one."""
    service = request.app[SERVICE]
    view = service.view(task, dialect)
    match _defect(request):
        case Defect.STATUS_WORD:
            return evolve(view, word=request[FAULT].word)
        case Defect.STALE:
            return service.view_at(task.life.accepted_s, task, dialect)
        case Defect.NO_VIDEOS:
            return evolve(view, has_video=False)
        case Defect.OTHER_TASK:
            return evolve(view, task_id=service.new_id())
        case _:
            return view
