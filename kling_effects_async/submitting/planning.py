"""An effect as a job: what is written down of it, and what makes two jobs the same."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import frozen

from kling_effects_async.effects import DualImageEffect, Effect, ImageSource, SingleImageEffect
from kling_effects_async.errors import JournalDamagedError
from kling_effects_async.images.checks import image_hash, inspect_image
from kling_effects_async.journal.job import Job
from kling_effects_async.protocol.messages import FileState

__all__ = [
    "PreparedJob",
    "derived_id",
    "effect_of",
    "image_hashes_of",
    "is_made_here",
    "is_random",
    "make_job",
    "prepared_job",
    "random_id",
]


# An id that was drawn at random here, or made from an effect's content: no other client has the
# first, and the second stands for the same content everywhere.
_MADE_HERE = re.compile(r"ke[ab]-[0-9a-f]{32}")
_SORTED = json.JSONEncoder(sort_keys=True)
_ID_DIGITS = 32  # of a digest: 128 bits, so no two jobs of one account meet


def derived_id(effect: Effect, *, salt: str | None = None) -> str:
    """The external id of this effect: the same content has the same id, in every process.

    For a caller whose own retry must not be paid twice: an agent that plans again, a workflow that
    starts over. ``run_many(run="summer")`` gives an effect the id with ``salt="summer"``. Scene,
    options, and the content of the images decide; the names of the files do not.

    It reads the image files and so blocks: in an event loop call it through ``asyncio.to_thread``.

    Args:
        salt: what makes the effect another job, such as an order's number.

    Raises:
        ImageRejectedError: an image file cannot be read.
    """
    image_hashes = [image_hash(image) for image in effect.images]
    return _derived_id(effect, _fingerprint(effect, image_hashes), salt)


def make_job(
    effect: Effect,
    *,
    account: str,
    service: str | None = None,
    external_task_id: str | None,
    image_hashes: Sequence[str],
    now: datetime,
    callback_url: str | None = None,
    run: str | None = None,
    download_to: str | None = None,
    share: str = "",
) -> Job:
    """A job for this effect.

    Args:
        service: the base URL of the service that the account belongs to.
        external_task_id: by default ``derived_id``, salted with the run's name, so that the same
            batch run again is the same jobs.
        image_hashes: SHA-256 of each image's content (of its URL where it is one), in hex.
    """
    # The images' content is not stored: a journal of a hundred thousand jobs stays small.
    description = {
        "scene": effect.scene,
        "options": _options(effect),
        "images": [
            _image_note(image) | {"sha256": sha256}
            for image, sha256 in zip(effect.images, image_hashes, strict=True)
        ],
    }
    fingerprint = _fingerprint(effect, image_hashes)
    return Job(
        account=account,
        service=service,
        external_task_id=external_task_id or _derived_id(effect, fingerprint, run),
        scene=effect.scene,
        fingerprint=fingerprint,
        effect=json.dumps(description),
        callback_url=callback_url,
        run=run,
        download_to=download_to,
        share=share,
        created_at=now,
    )


@frozen
class PreparedJob:
    """An effect that is to be paid for, as its job, and the state of its image files then."""

    effect: Effect
    job: Job
    files: Mapping[Path, FileState]


def prepared_job(effect: Effect, *, with_hashes: bool, **facts: Any) -> PreparedJob:
    """An effect as a job, after its images were checked. Blocks where an image is a file.

    Args:
        with_hashes: False where the same job cannot be submitted again.
        facts: the other arguments of ``make_job``.

    Raises:
        ImageRejectedError: Kling would reject an image.
        ImageUnreadableError: this machine cannot read an image's file.
    """
    image_hashes, files = _read_images(effect, with_hashes=with_hashes)
    return PreparedJob(effect, make_job(effect, image_hashes=image_hashes, **facts), files)


def _read_images(
    effect: Effect, *, with_hashes: bool
) -> tuple[list[str], Mapping[Path, FileState]]:
    """Check the images; their hashes, and the state of their files.

    A hash is ``""`` without ``with_hashes``.
    """
    hashes, files = [], {}
    for image in effect.images:
        if isinstance(image, str):
            hashes.append(image_hash(image) if with_hashes else "")
            continue
        found = inspect_image(image, with_hash=with_hashes)
        hashes.append(found.sha256)
        if isinstance(image, Path) and found.state is not None:
            files[image] = found.state
    return hashes, files


def is_made_here(external_task_id: str) -> bool:
    """Whether a task under this id can only be one for the same content."""
    return _MADE_HERE.fullmatch(external_task_id) is not None


def random_id() -> str:
    """A new external id, for one submit."""
    return f"kea-{os.urandom(_ID_DIGITS // 2).hex()}"


def is_random(external_task_id: str) -> bool:
    """Whether ``random_id`` made it."""
    return external_task_id.startswith("kea-")


def effect_of(job: Job) -> Effect | None:
    """The effect again; ``None`` where an image was given as bytes, which are not written down.

    Raises:
        JournalDamagedError: what is written down of it is no effect.
    """
    with _read_from(job):
        return _effect_of(job)


def _effect_of(job: Job) -> Effect | None:
    description = json.loads(job.effect)
    images = [_image(note) for note in description["images"]]
    options = description["options"]
    match images:
        case [Path() | str() as image]:
            return SingleImageEffect(job.scene, image=image, **options)
        case [Path() | str() as left, Path() | str() as right]:
            return DualImageEffect(job.scene, left=left, right=right, **options)
    return None


def image_hashes_of(job: Job) -> list[str]:
    """The hashes of the images as they were when the job was planned.

    Raises:
        JournalDamagedError: what is written down of it is no effect.
    """
    with _read_from(job):
        return [str(note["sha256"]) for note in json.loads(job.effect)["images"]]


@contextmanager
def _read_from(job: Job) -> Iterator[None]:
    """Of what the journal holds as text only this module knows the form."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise JournalDamagedError(
            f"what the journal holds of job {job.external_task_id!r} is damaged "
            f"({type(error).__name__}), and nothing was sent for it: submit the effect again under "
            "another external_task_id, once you know that this job has no task"
        ) from error


def _fingerprint(effect: Effect, image_hashes: Sequence[str]) -> str:
    return _digest([effect.scene, _options(effect), list(image_hashes)])


def _derived_id(effect: Effect, fingerprint: str, salt: str | None) -> str:
    return f"keb-{_digest([salt, effect.scene, fingerprint])[:_ID_DIGITS]}"


def _digest(what: object) -> str:
    return hashlib.sha256(_SORTED.encode(what).encode()).hexdigest()


def _options(effect: Effect) -> dict[str, Any]:
    # Only what was given: an option added later must not change the ids of old jobs.
    names = ["model_name", "duration_s"]
    names += ["mode"] if isinstance(effect, DualImageEffect) else []
    return {name: getattr(effect, name) for name in names if getattr(effect, name) is not None}


def _image_note(image: ImageSource) -> dict[str, str]:
    if isinstance(image, Path):
        return {"path": str(image.absolute())}
    return {"url": image} if isinstance(image, str) else {}


def _image(note: dict[str, str]) -> ImageSource | None:
    return Path(note["path"]) if "path" in note else note.get("url")
