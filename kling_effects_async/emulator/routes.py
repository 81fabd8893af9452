"""The addresses of the service and what each of them does."""

from __future__ import annotations

import asyncio
import hmac

from aiohttp import hdrs, web
from attrs import evolve

from kling_effects_async.emulator.account import Account
from kling_effects_async.emulator.faults import Fault, Twist
from kling_effects_async.emulator.media import etag_of, serve_clip
from kling_effects_async.emulator.pictures import are_usable
from kling_effects_async.emulator.refusals import html_page, no_such_path, unknown_task
from kling_effects_async.emulator.replies import create_reply, list_reply, query_reply
from kling_effects_async.emulator.tasks import Task, TaskView, view_of
from kling_effects_async.emulator.validation import Dialect, Order, RefusedError, read_order
from kling_effects_async.emulator.wire import FAULT, REQUEST_ID, SERVICE, dialect_of, respond

__all__ = ["ACCOUNT", "BODY_LIMIT_BYTES", "EFFECTS_PATHS", "add_routes"]

ACCOUNT = web.AppKey("account", Account)

# Two pictures of 10 MB are 28 MB as base64. A choice: what the real hosts cap is not documented.
BODY_LIMIT_BYTES = 32 * 2**20

# Below this, decoding takes less than handing it to a thread and waiting.
_INLINE_BODY_BYTES = 2**18

EFFECTS_PATHS = ("/kling/v1/videos/effects", "/v1/videos/effects")

# Source: K1 effects page, 2026-09: defaults and limits of the list.
_PAGE_NUMBERS = range(1, 1001)
_PAGE_SIZES = range(1, 501)


def add_routes(app: web.Application) -> None:
    for path in EFFECTS_PATHS:
        app.router.add_post(path, submit)
        app.router.add_get(path, list_tasks, allow_head=False)
        app.router.add_get(path + "/{id}", query, allow_head=False)
    app.router.add_get("/media/{task_id}.mp4", download)
    app.router.add_route("*", "/{path:.*}", anything_else)


async def submit(request: web.Request) -> web.StreamResponse:
    dialect = _admit(request)
    service = request.app[SERVICE]
    order, has_usable_images = await _read_order(request, dialect)
    task = service.accept(order, has_usable_images=has_usable_images)
    view = view_of(task, task.life.accepted_s)
    return respond(create_reply(view, service.shape(dialect), request[REQUEST_ID]))


async def query(request: web.Request) -> web.StreamResponse:
    dialect = _admit(request)
    service = request.app[SERVICE]
    given_id = request.match_info["id"]
    task = service.find(given_id)
    shape = service.shape(dialect)
    if task is None or _twist(request) is Twist.UNKNOWN_TASK:
        return respond(unknown_task(given_id, shape, request[REQUEST_ID]))
    return respond(query_reply(_twisted_view(request, task, dialect), shape, request[REQUEST_ID]))


async def list_tasks(request: web.Request) -> web.StreamResponse:
    dialect = _admit(request)
    service = request.app[SERVICE]
    if not service.settings.lists_tasks:
        return respond(no_such_path(request.path, request[REQUEST_ID]))
    number = _whole_number(request, "pageNum", 1, _PAGE_NUMBERS)
    size = _whole_number(request, "pageSize", 30, _PAGE_SIZES)
    views = [_twisted_view(request, task, dialect) for task in service.page(number, size)]
    return respond(list_reply(views, service.shape(dialect), request[REQUEST_ID]))


async def download(request: web.Request) -> web.StreamResponse:
    """No key is asked for: the address itself is the permission."""
    service = request.app[SERVICE]
    task_id = request.match_info["task_id"]
    if not hmac.compare_digest(
        request.query.get("sign", "").encode(errors="replace"), service.sign(task_id).encode()
    ):
        return respond(html_page(403, "<html><body><h1>403 Forbidden</h1></body></html>"))
    task = service.find(task_id)
    if task is None or not task.clip.content:
        return respond(html_page(404, "<html><body><h1>404 Not Found</h1></body></html>"))
    twist = _twist(request)
    etag = etag_of(task.clip.content)
    reply = serve_clip(
        task.clip.content,
        f'"changed-{etag[1:]}' if twist is Twist.CHANGED_ETAG else etag,
        None if twist is Twist.IGNORE_RANGE else request.headers.get(hdrs.RANGE),
        request.headers.get(hdrs.IF_RANGE),
    )
    return respond(reply)


async def anything_else(request: web.Request) -> web.StreamResponse:
    """Another path or another method. Kling's table has a code for the second: 1202, HTTP 404."""
    if request.path.startswith(EFFECTS_PATHS[1]) and request.method != hdrs.METH_GET:
        raise RefusedError(1202)
    return respond(no_such_path(request.path, request[REQUEST_ID]))


def _admit(request: web.Request) -> Dialect:
    dialect = dialect_of(request.path)
    wall_s = request.app[SERVICE].clock.wall_s()
    request.app[ACCOUNT].admit(request.headers.get(hdrs.AUTHORIZATION), dialect, wall_s)
    return dialect


async def _read_order(request: web.Request, dialect: Dialect) -> tuple[Order, bool]:
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise RefusedError(1200, "the request body is too large", status=413) from None
    image_counts = request.app[SERVICE].image_counts

    def examine() -> tuple[Order, bool]:
        order = read_order(body, dialect, image_counts)
        return order, are_usable(order.images)

    if len(body) < _INLINE_BODY_BYTES:
        return examine()
    return await asyncio.to_thread(examine)


def _whole_number(request: web.Request, name: str, default: int, allowed: range) -> int:
    text = request.query.get(name, str(default))
    # isdecimal alone takes digits of other scripts, and int() takes far more than a page number.
    if not (text.isascii() and text.isdecimal() and len(text) < 6) or int(text) not in allowed:
        raise RefusedError(1201, f"{name} must be from {allowed.start} to {allowed.stop - 1}")
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
