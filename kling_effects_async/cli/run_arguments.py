"""What ``run`` is asked for, the effect that is meant, and what is known before it is sent."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from attrs import frozen

from kling_effects_async import (
    BudgetExceededError,
    DualImageEffect,
    Effect,
    EffectRejectedError,
    ImageSource,
    Job,
    Service,
    SingleImageEffect,
    catalogue,
    check_image,
    prepare,
)
from kling_effects_async.cli.console import say
from kling_effects_async.cli.output_path import OutputPath
from kling_effects_async.journal.budget import check_budget, expected_cost
from kling_effects_async.journal.job import UNSENT
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.journal.store import MemoryStore
from kling_effects_async.protocol.requests import build_submit
from kling_effects_async.web_address import tidied

__all__ = ["RunArguments", "effect_of", "is_to_be_sent"]

_COUNTS = {1: "one image", 2: "two images"}


@frozen(kw_only=True)
class RunArguments:
    """What the command line asks for.

    Attributes:
        is_one_more: the job is another one than that of the same command line before.
    """

    scene: str
    images: tuple[str, ...]
    output: OutputPath
    model_name: str | None = None
    mode: str | None = None
    duration_s: int | None = None
    external_task_id: str | None = None
    is_one_more: bool = False
    is_to_prepare: bool = False
    service: str | None = None
    journal: str | None = None
    account: str | None = None
    budget_units: Decimal | None = None
    timeout_s: float
    may_preview: bool = True
    clips: str
    is_silent: bool = False

    @property
    def is_for_real(self) -> bool:
        """Who writes jobs down or sets a budget does not mean a preview."""
        return not self.may_preview or self.journal is not None or self.budget_units is not None

    @property
    def is_repeatable(self) -> bool:
        """The same command line asks for the same job again, which a journal knows."""
        return self.journal is not None and not self.is_one_more


def effect_of(arguments: RunArguments) -> Effect:
    """The effect, its images checked, and fixed if that is wanted. Blocks.

    Raises:
        EffectRejectedError, ImageRejectedError: says what to change.
    """
    known = catalogue().get(arguments.scene)
    if known is not None and known.images != len(arguments.images):
        raise EffectRejectedError(
            f"scene {arguments.scene!r} takes {_COUNTS[known.images]}, not {len(arguments.images)}"
        )
    images = [_image(text, is_to_prepare=arguments.is_to_prepare) for text in arguments.images]
    if len(images) == 2:
        return DualImageEffect(
            arguments.scene,
            left=images[0],
            right=images[1],
            model_name=arguments.model_name,
            mode=arguments.mode,
            duration_s=arguments.duration_s,
        )
    if arguments.mode is not None:
        raise EffectRejectedError("--mode is for scenes with two images: leave it out")
    return SingleImageEffect(
        arguments.scene,
        image=images[0],
        model_name=arguments.model_name,
        duration_s=arguments.duration_s,
    )


def _image(text: str, *, is_to_prepare: bool) -> ImageSource:
    url = tidied(text)
    if url.startswith(("http://", "https://")):
        return url
    path = Path(text)
    if not is_to_prepare:
        check_image(path)
        return path
    prepared = prepare(path)
    if not prepared.changes:
        return path
    say(f"{path.name}: {' '.join(prepared.changes)}")
    return prepared.content


async def is_to_be_sent(
    job: Job, effect: Effect, service: Service, arguments: RunArguments, journal: SqliteStore | None
) -> bool:
    """Whether its submit will ask the service for a task; if not, the submit itself says why.

    Raises:
        EffectRejectedError: the effect or its id cannot be meant.
    """
    build_submit(service, effect, external_task_id=job.external_task_id)
    held = None if journal is None else await journal.get(job.account, job.external_task_id)
    if held is not None and (held.state not in UNSENT or held.fingerprint != job.fingerprint):
        return False
    store = journal or MemoryStore()
    expected = expected_cost(await store.typical_units(job.account, job.scene))
    try:
        committed = await store.committed(job.account)
        check_budget(job.scene, committed, expected, arguments.budget_units)
    except BudgetExceededError:
        return False
    return True
