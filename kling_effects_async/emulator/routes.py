"""The addresses of the service and what each of them does."""

from __future__ import annotations

import asyncio
import hmac

from aiohttp import hdrs, web
from attrs import evolve

from kling_effects_async.emulator.account import Account
from kling_effects_async.emulator.bodies import read_body
from kling_effects_async.emulator.costs import COSTS_PATH, LEAST_PAUSE_S, costs_reply
from kling_effects_async.emulator.faults import Fault, Twist
from kling_effects_async.emulator.json_body import check_content_type
from kling_effects_async.emulator.media import etag_of, serve_clip
from kling_effects_async.emulator.pictures import are_usable
from kling_effects_async.emulator.rejections import (
    RejectedError,
    Reply,
    gateway_page,
    html_page,
    no_such_path,
    unknown_task,
)
from kling_effects_async.emulator.replies import create_reply, list_reply, query_reply
from kling_effects_async.emulator.tasks import Task, TaskView, view_of
from kling_effects_async.emulator.validation import Dialect, Order, read_order
from kling_effects_async.emulator.wire import FAULT, NOTE, REQUEST_ID, SERVICE, dialect_of, respond

__all__ = ["ACCOUNT", "EFFECTS_PATHS", "add_routes"]

ACCOUNT = web.AppKey("account", Account)

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
    dialect = _admit(request)
    service = request.app[SERVICE]
    order, has_usable_images = await _read_order(request, dialect)
    fault = request.get(FAULT)
    failure = fault.failure if isinstance(fault, Fault) else None
    task = service.accept(order, has_usable_images=has_usable_images, failure=failure)
    request[NOTE] = f"accepted task {task.task_id} ({order.effect_scene})"
    view = view_of(task, task.life.accepted_s)
    return respond(create_reply(view, service.shape(dialect), request[REQUEST_ID]))


async def query(request: web.Request) -> web.StreamResponse:
    dialect = _admit(request)
    service = request.app[SERVICE]
    given_id = request.match_info["id"]
    task = service.find(given_id)
    shape = service.shape(dialect)
    if task is None or _twist(request) is Twist.UNKNOWN_TASK:
        request[NOTE] = "unknown task"
        answer = service.unknown_task(dialect)
        return respond(unknown_task(given_id, answer, shape, request[REQUEST_ID]))
    view = _twisted_view(request, task, dialect)
    request[NOTE] = f"task {task.task_id} is {view.word}"
    return respond(query_reply(view, shape, request[REQUEST_ID]))


async def list_tasks(request: web.Request) -> web.StreamResponse:
    dialect = _admit(request)
    service = request.app[SERVICE]
    if not service.settings.lists_tasks:
        return respond(_no_such_path(request))
    number = _whole_number(request, "pageNum", 1, _PAGE_NUMBERS)
    size = _whole_number(request, "pageSize", 30, _PAGE_SIZES)
    views = [_twisted_view(request, task, dialect) for task in service.page(number, size)]
    request[NOTE] = f"a page of {len(views)} tasks"
    return respond(list_reply(views, service.shape(dialect), request[REQUEST_ID]))


async def costs(request: web.Request) -> web.StreamResponse:
    """The window asked for must be there and be one, and changes nothing: there is one pack."""
    _admit(request)
    service = request.app[SERVICE]
    start_ms, end_ms = (_whole_number(request, name, None, _MOMENTS_MS) for name in _WINDOW)
    if start_ms > end_ms:
        raise RejectedError(1201, "start_time must not be after end_time")
    if not service.may_tell_costs(LEAST_PAUSE_S):
        raise RejectedError(1302)
    balance = service.balance
    left_units = balance.left_units(service.clock.now_s())
    return respond(
        costs_reply(balance.total_units, left_units, service.start_s, request[REQUEST_ID])
    )


async def download(request: web.Request) -> web.StreamResponse:
    """No key is asked for: the address itself is the permission."""
    service = request.app[SERVICE]
    task_id = request.match_info["task_id"]
    if not hmac.compare_digest(
        request.query.get("sign", "").encode(errors="replace"), service.sign(task_id).encode()
    ):
        return respond(html_page(403, "<html><body><h1>403 Forbidden</h1></body></html>"))
    task = service.find(task_id)
    content = b"" if task is None else await task.clip.read()
    if not content:
        return respond(html_page(404, "<html><body><h1>404 Not Found</h1></body></html>"))
    twist = _twist(request)
    etag = etag_of(content)
    reply = serve_clip(
        content,
        f'"changed-{etag[1:]}' if twist is Twist.CHANGED_ETAG else etag,
        None if twist is Twist.IGNORE_RANGE else request.headers.get(hdrs.RANGE),
        request.headers.get(hdrs.IF_RANGE),
    )
    return respond(reply)


async def anything_else(request: web.Request) -> web.StreamResponse:
    """Another path or another method. Kling's table has a code for the second: 1202, HTTP 404."""
    served = (EFFECTS_PATHS[1], COSTS_PATH)
    is_served = request.path in served or request.path.rpartition("/")[0] == EFFECTS_PATHS[1]
    if is_served and request.method != hdrs.METH_GET:
        raise RejectedError(1202)
    return respond(_no_such_path(request))


def _no_such_path(request: web.Request) -> Reply:
    request[NOTE] = "no such path"
    if dialect_of(request.path) is Dialect.GATEWAY:
        return gateway_page()
    return no_such_path(request.rel_url.raw_path, request.app[SERVICE].clock.wall_s())


def _admit(request: web.Request) -> Dialect:
    dialect = dialect_of(request.path)
    wall_s = request.app[SERVICE].clock.wall_s()
    request.app[ACCOUNT].admit(request.headers.get(hdrs.AUTHORIZATION), dialect, wall_s)
    return dialect


async def _read_order(request: web.Request, dialect: Dialect) -> tuple[Order, bool]:
    check_content_type(request.headers.get(hdrs.CONTENT_TYPE))
    body = await read_body(request)
    service = request.app[SERVICE]

    def examine() -> tuple[Order, bool]:
        order = read_order(
            body,
            dialect,
            service.image_counts,
            requires_model_fields=service.settings.requires_model_fields,
        )
        return order, are_usable(order.images)

    if len(body) < _INLINE_BODY_BYTES:
        return examine()
    return await asyncio.to_thread(examine)


def _whole_number(request: web.Request, name: str, default: int | None, allowed: range) -> int:
    """A number of the query string; ``default=None``: it must be there."""
    text = request.query.get(name, "" if default is None else str(default))
    # isdecimal alone takes digits of other scripts, and int() takes thousands of them.
    if not (text.isascii() and text.isdecimal() and len(text) < 16) or int(text) not in allowed:
        raise RejectedError(1201, f"{name} must be from {allowed.start} to {allowed.stop - 1}")
    return int(text)


def _twist(request: web.Request) -> Twist | None:
    fault = request.get(FAULT)
    return fault.twist if isinstance(fault, Fault) else None


def _twisted_view(request: web.Request, task: Task, dialect: Dialect) -> TaskView:
    service = request.app[SERVICE]
    view = service.view(task, dialect)
    match _twist(request):
        case Twist.STATUS_WORD:
            return evolve(view, word=request[FAULT].word)
        case Twist.STALE:
            return view_of(task, task.life.accepted_s)
        case Twist.NO_VIDEOS:
            return evolve(view, has_video=False)
        case Twist.OTHER_TASK:
            return evolve(view, task=evolve(task, task_id=service.new_id()))
        case _:
            return view
