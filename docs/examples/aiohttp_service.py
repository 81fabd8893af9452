"""A web service that turns photos into clips: upload, a live page, the clip; safe to restart.

    GET  /                   a form for a photo
    POST /jobs               form fields ``user`` and ``photo``: 202 and the job's id, at once
    GET  /jobs/{id}          a page that shows where the job stands
    GET  /jobs/{id}/events   the same as server-sent events
    GET  /jobs/{id}/clip     the clip
    POST /kling/...          Kling's callbacks

A photo is stored before it is promised, so that the folder has every job from its first moment, and
the journal has all that is paid. A start goes on with both, and pays nothing again: a job is known
by an id that is made from its photo and its user. For the same reason a second upload of the same
photo is the same job. Who may say which ``user`` he is, is left to your own login.
"""

from __future__ import annotations

import asyncio
import html
import json
import logging
import os
import secrets
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from string import Template
from typing import Any
from weakref import WeakSet

from aiohttp import web

from kling_effects_async import (
    CallbackReceiver,
    EffectsClient,
    EventStream,
    ImageRejectedError,
    JobState,
    KlingEffectsError,
    SingleImageEffect,
    SlotsChanged,
    check_image,
    derived_id,
)

SCENE = "squish"
MAX_UPLOAD_BYTES = 11 * 2**20  # Kling takes pictures of 10 MB
LOOK_AGAIN_S = 5.0  # a queue position changes without an event of this job
TRY_AGAIN_S = 60.0
WITH_CLIP = {JobState.SUCCEEDED, JobState.DOWNLOADED}
JOB = "/jobs/{id:[a-z0-9-]+}"

FOLDER = web.AppKey("FOLDER", Path)
CLIENT = web.AppKey("CLIENT", EffectsClient)
WORK = web.AppKey("WORK", set[asyncio.Task[None]])
STREAMS = web.AppKey("STREAMS", WeakSet[EventStream])

log = logging.getLogger("photos")


# -- a photo becomes a job


async def upload(request: web.Request) -> web.Response:
    form = await request.post()
    user, photo = form.get("user"), form.get("photo")
    if not isinstance(user, str) or not (user.isascii() and user.isalnum() and len(user) < 65):
        raise web.HTTPBadRequest(text="user: 1 to 64 letters and digits")
    if not isinstance(photo, web.FileField):
        raise web.HTTPBadRequest(text="photo: a file")
    content = await asyncio.to_thread(photo.file.read)
    try:
        stored = await asyncio.to_thread(store, request.app[FOLDER], user, content)
    except ImageRejectedError as error:
        raise web.HTTPUnprocessableEntity(text=" ".join(error.problems)) from None
    begin(request.app, finish(request.app[CLIENT], stored))
    page = f"/jobs/{stored.stem}"
    return web.json_response({"id": stored.stem, "page": page}, status=202)


def store(folder: Path, user: str, content: bytes) -> Path:
    """Write the photo to ``uploads/<user>/<id>.photo``, whole or not at all."""
    check_image(content)
    name = derived_id(SingleImageEffect(SCENE, image=content), salt=user)
    path = folder / "uploads" / user / f"{name}.photo"
    if not path.exists():  # the same photo again is the same job
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{secrets.token_hex(8)}")
        with part.open("wb") as file:
            file.write(content)
            os.fsync(file.fileno())
        part.replace(path)
    return path


async def finish(client: EffectsClient, stored: Path) -> None:
    """Have the job submitted and wait for its end; a job that is known already is not paid again.

    One user's forty photos do not hold up another's one: each user is a share.
    """
    effect, user = SingleImageEffect(SCENE, image=stored), stored.parent.name
    while True:
        try:
            await client.run(effect, external_task_id=stored.stem, share=user)
            return
        except KlingEffectsError as error:
            log.info("job %s: %s", stored.stem, error)
            job = await client.job(stored.stem)
            # A task that may exist is looked for until it is found, whatever the error was.
            if not (error.retryable if job is None else job.is_open):
                return
        await asyncio.sleep(TRY_AGAIN_S)


# -- where a job stands


async def state_of(app: web.Application, name: str) -> dict[str, Any]:
    """The state of a job, a sentence about it, and whether it is the last.

    Raises:
        HTTPNotFound: there is no such job.
    """
    client = app[CLIENT]
    job = await client.job(name)
    if job is None and not await asyncio.to_thread(is_stored, app[FOLDER], name):
        raise web.HTTPNotFound(text="There is no such job.")
    state, why, is_last = JobState.PLANNED if job is None else job.state, "", False
    match state:
        case JobState.PLANNED | JobState.SUBMITTING:
            position = client.queue_position(name)
            text = f"Number {position} in the queue." if position else "Your photo is being sent."
        case JobState.ACCEPTED:
            expected = client.attach(external_task_id=name).expected_end
            until = f" Ready by {expected[1]:%H:%M:%S} UTC, most likely." if expected else ""
            text = f"Kling is making your clip.{until}"
        case JobState.SUCCEEDED | JobState.DOWNLOADED:
            text, is_last = "Your clip is ready.", True
        case JobState.UNCERTAIN:
            text = "An answer was lost. We look for your clip before we pay for another one."
        case _:
            why = "" if job is None else job.message
            text, is_last = f"There will be no clip: {why}", True
    has_clip = state in WITH_CLIP
    return {"state": str(state), "text": text, "is_last": is_last, "has_clip": has_clip}


def is_stored(folder: Path, name: str) -> bool:
    return any(folder.glob(f"uploads/*/{name}.photo"))


PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Photo to clip</title>
<link rel="icon" href="data:,">
<style>
  body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 30rem; margin: 0 auto; padding: 1rem; }
  form { display: grid; gap: 1rem; }
  label { display: grid; gap: .3rem; }
  input, button { font: inherit; padding: .5rem; min-width: 0; }
  progress, video { width: 100%; }
  #text { overflow-wrap: anywhere; }
</style>
<h1>Photo to clip</h1>
$content
</html>
""")
FORM = """
<form id="form">
  <label>Your name <input name="user" required pattern="[A-Za-z0-9]{1,64}"
    title="letters and digits" autocomplete="username"></label>
  <label>Photo <input name="photo" type="file" accept="image/jpeg,image/png" required></label>
  <button id="button">Make a clip</button>
  <p id="text" role="alert"></p>
</form>
<script>
  form.onsubmit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const answer = await fetch("/jobs", {method: "POST", body: new FormData(form)});
      if (answer.ok) location = (await answer.json()).page;
      else text.textContent = await answer.text();
    } catch { text.textContent = "The service did not answer. Please try again."; }
    button.disabled = false;
  };
</script>
"""
STATE = Template("""
<p id="text" role="status">$text</p>
<progress id="bar" aria-label="in progress"></progress>
<video id="video" controls playsinline loop hidden></video>
<p><a href="/">Another photo</a></p>
<script>
  function listen() {
    const source = new EventSource(location.pathname + "/events");
    source.onmessage = (message) => {
      const now = JSON.parse(message.data);
      text.textContent = now.text;
      bar.hidden = now.is_last;
      if (now.is_last) source.close();
      if (now.has_clip) show();
    };
    source.onerror = () => {  // a browser does not try again after a proxy's 502
      text.textContent = "The connection is lost. Trying again.";
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
    };
  }
  async function show() {  // fetched whole, as the service has no ranges, for which players ask
    try {
      const answer = await fetch(location.pathname + "/clip");
      if (!answer.ok) throw new Error(await answer.text());
      video.src = URL.createObjectURL(await answer.blob());
      video.hidden = false;
    } catch (error) { text.textContent = error.message + " Reload the page to try again."; }
  }
  listen();
</script>
""")


async def start_page(request: web.Request) -> web.Response:
    return web.Response(text=PAGE.substitute(content=FORM), content_type="text/html")


async def page(request: web.Request) -> web.Response:
    state = await state_of(request.app, request.match_info["id"])
    content = STATE.substitute(text=html.escape(state["text"]))
    return web.Response(text=PAGE.substitute(content=content), content_type="text/html")


async def events(request: web.Request) -> web.StreamResponse:
    """Each change of a job until its last; a browser connects again by itself after a restart."""
    name, told = request.match_info["id"], None
    async with request.app[CLIENT].events() as stream:  # first, so that nothing falls in between
        request.app[STREAMS].add(stream)
        state = await state_of(request.app, name)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        response.headers["Cache-Control"] = "no-store"
        await response.prepare(request)
        while True:
            if state != told:
                await response.write(f"data: {json.dumps(state)}\n\n".encode())
                told = state
            if state["is_last"] or not await goes_on(stream, name):
                return response
            state = await state_of(request.app, name)


async def goes_on(stream: EventStream, name: str) -> bool:
    """Wait for the next event of this job, or a little; False once the service stops."""
    try:
        async with asyncio.timeout(LOOK_AGAIN_S):
            async for event in stream:
                if not isinstance(event, SlotsChanged) and event.external_task_id == name:
                    return True
    except TimeoutError:
        return True
    return False


async def clip(request: web.Request) -> web.StreamResponse:
    """The clip, passed on as it comes; Kling keeps it for 30 days."""
    client, name = request.app[CLIENT], request.match_info["id"]
    job = await client.job(name)
    if job is None or job.state not in WITH_CLIP:
        raise web.HTTPNotFound(text="There is no clip, or not yet.")
    result = await client.attach(external_task_id=name)  # from the journal, without a request
    response = web.StreamResponse()
    try:
        async with client.open_video(result.video) as stream:
            response.content_type, response.content_length = stream.content_type, stream.size_bytes
            await response.prepare(request)
            async for chunk in stream:
                await response.write(chunk)
    except KlingEffectsError:
        if response.prepared:
            raise  # closes the connection before the announced length, so the browser knows
        raise web.HTTPBadGateway(text="The clip cannot be fetched now.") from None
    await response.write_eof()
    return response


# -- start and stop


def begin(app: web.Application, work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    app[WORK].add(task)
    task.add_done_callback(app[WORK].discard)


async def open_client(app: web.Application) -> AsyncIterator[None]:
    """Open the journal, and go on where the last process stopped, before a request comes."""
    stored = await asyncio.to_thread(lambda: sorted(app[FOLDER].glob("uploads/*/*.photo")))
    async with app[CLIENT] as client:
        for path in stored:
            job = await client.job(path.stem)
            if job is None or job.is_open:
                begin(app, finish(client, path))
        yield
        for task in app[WORK]:
            task.cancel()  # a submit that is being sent is written down all the same
        await asyncio.gather(*app[WORK], return_exceptions=True)


async def end_streams(app: web.Application) -> None:
    """A server that stops waits for its requests, and a stream of events has no end of its own."""
    for stream in app[STREAMS]:
        stream.close()


def make_app(folder: Path, receiver: CallbackReceiver) -> web.Application:
    app = web.Application(client_max_size=MAX_UPLOAD_BYTES)
    app[FOLDER], app[WORK] = folder, set()
    app[STREAMS] = WeakSet()
    app[CLIENT] = EffectsClient.from_env(journal=folder / "jobs.db", callbacks=receiver)
    app.add_routes(
        [
            web.get("/", start_page),
            web.post("/jobs", upload),
            web.get(JOB, page),
            web.get(f"{JOB}/events", events),
            web.get(f"{JOB}/clip", clip),
            *receiver.routes(),
        ]
    )
    app.cleanup_ctx.append(open_client)
    app.on_shutdown.append(end_streams)
    return app


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    folder, port = Path(os.environ.get("FOLDER", "photos")), int(os.environ.get("PORT", "8080"))
    folder.mkdir(parents=True, exist_ok=True)
    receiver = CallbackReceiver(
        os.environ.get("PUBLIC_URL", f"http://127.0.0.1:{port}/kling"),
        secrets=os.environ.get("KLING_CALLBACK_SECRETS", "").split(),
    )
    # No access log: the last part of a callback's path is a secret.
    web.run_app(make_app(folder, receiver), host="127.0.0.1", port=port, access_log=None)


if __name__ == "__main__":
    main()
