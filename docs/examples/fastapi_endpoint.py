"""The same service in FastAPI, as small as it gets: upload, state, clip and Kling's callbacks.

    curl --data-binary @cat.jpg 'http://127.0.0.1:8000/jobs?user=ann'
    curl http://127.0.0.1:8000/jobs/{id}
    curl -o clip.mp4 http://127.0.0.1:8000/jobs/{id}/clip

Start it with ``uvicorn --no-access-log fastapi_endpoint:api``, as one process: the last part of a
callback's path is a secret, and a journal has one owner.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import PlainTextResponse, StreamingResponse

from kling_effects_async import (
    CallbackReceiver,
    EffectsClient,
    ImageRejectedError,
    JobState,
    KlingEffectsError,
    SingleImageEffect,
    VideoStream,
    check_image,
    derived_id,
)

MAX_PHOTO_BYTES = 10 * 2**20
FOLDER = Path(os.environ.get("FOLDER", "photos"))
receiver = CallbackReceiver(
    os.environ.get("PUBLIC_URL", "http://127.0.0.1:8000/kling"),
    secrets=os.environ.get("KLING_CALLBACK_SECRETS", "").split(),
)


@asynccontextmanager
async def lifespan(api: FastAPI) -> AsyncIterator[None]:
    """Open the journal, and finish what the last process left; the folder has what it promised."""
    uploads = FOLDER / "uploads"
    await asyncio.to_thread(uploads.mkdir, parents=True, exist_ok=True)
    stored = await asyncio.to_thread(lambda: sorted(uploads.glob("*/*.photo")))
    client = EffectsClient.from_env(callbacks=receiver, journal=FOLDER / "jobs.db")
    async with client:
        api.state.client, api.state.work = client, {}
        for photo in stored:
            job = await client.job(photo.stem)
            if job is None or job.is_open:
                begin(api, photo)  # by its id: what was submitted is not submitted again
        yield
        works = list(api.state.work.values())
        for work in works:
            work.cancel()  # a submit that is being sent is written down all the same
        await asyncio.gather(*works, return_exceptions=True)


def begin(api: FastAPI, photo: Path) -> None:
    work: dict[str, asyncio.Task[None]] = api.state.work
    if photo.stem not in work:
        task = work[photo.stem] = asyncio.create_task(finish(api.state.client, photo))
        task.add_done_callback(lambda _: work.pop(photo.stem))


async def finish(client: EffectsClient, photo: Path) -> None:
    """Go on until the job has ended: a task that may exist is looked for until it is found."""
    effect, user = SingleImageEffect("squish", image=photo), photo.parent.name
    while True:
        try:
            await client.run(effect, external_task_id=photo.stem, share=user)
            return
        except KlingEffectsError as error:
            print(f"job {photo.stem}: {error}")
            job = await client.job(photo.stem)
            if not (error.retryable if job is None else job.is_open):
                return
        await asyncio.sleep(60)


api = FastAPI(lifespan=lifespan)


@api.post("/jobs", status_code=202)
async def upload(
    request: Request, user: Annotated[str, Query(pattern="^[A-Za-z0-9]{1,64}$")]
) -> dict[str, str]:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_PHOTO_BYTES:
            raise HTTPException(413, "Kling takes photos of 10 MB at most.")
    try:
        photo = await asyncio.to_thread(store, user, bytes(content))
    except ImageRejectedError as error:
        raise HTTPException(422, error.problems) from None
    begin(request.app, photo)
    return {"id": photo.stem}


def store(user: str, content: bytes) -> Path:
    """Write the photo to ``uploads/<user>/<id>.photo``, whole or not at all."""
    check_image(content)
    name = derived_id(SingleImageEffect("squish", image=content), salt=user)
    path = FOLDER / "uploads" / user / f"{name}.photo"
    if not path.exists():  # the same photo again is the same job
        path.parent.mkdir(exist_ok=True)
        part = path.with_suffix(f".{secrets.token_hex(8)}")
        part.write_bytes(content)
        part.replace(path)
    return path


@api.get("/jobs/{name}")
async def state_of(request: Request, name: str) -> dict[str, Any]:
    client: EffectsClient = request.app.state.client
    job = await client.job(name)
    if job is None and name not in request.app.state.work:
        raise HTTPException(404, "There is no such job.")
    state, message = (JobState.PLANNED, "") if job is None else (job.state, job.message)
    position = client.queue_position(name)
    return {"state": str(state), "message": message, "queue_position": position}


@api.get("/jobs/{name}/clip")
async def clip(request: Request, name: str) -> StreamingResponse:
    client: EffectsClient = request.app.state.client
    job = await client.job(name)
    if job is None or job.state is not JobState.SUCCEEDED:
        raise HTTPException(404, "There is no clip, or not yet.")
    result = await client.attach(external_task_id=name)  # from the journal, without a request
    exits = AsyncExitStack()
    try:
        stream = await exits.enter_async_context(client.open_video(result.video))
    except KlingEffectsError:
        raise HTTPException(502, "The clip cannot be fetched now.") from None
    length = {} if stream.size_bytes is None else {"Content-Length": str(stream.size_bytes)}
    return StreamingResponse(chunks(stream, exits), media_type=stream.content_type, headers=length)


async def chunks(stream: VideoStream, exits: AsyncExitStack) -> AsyncIterator[bytes]:
    async with exits:
        async for chunk in stream:
            yield chunk


@api.post("/kling/{token}")
async def kling(request: Request) -> PlainTextResponse:
    answer = await receiver.receive(request.headers, request.stream(), path=request.url.path)
    return PlainTextResponse(answer.reason, status_code=answer.status)
