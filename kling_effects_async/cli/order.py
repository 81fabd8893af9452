"""What ``run`` is asked for, and the effect that is meant."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from attrs import frozen

from kling_effects_async import (
    DualImageEffect,
    Effect,
    EffectRejectedError,
    ImageSource,
    SingleImageEffect,
    catalogue,
    check_image,
    prepare,
)
from kling_effects_async.cli.talk import say
from kling_effects_async.cli.target import Target
from kling_effects_async.web_address import tidied

__all__ = ["Order", "effect_of"]

_COUNTS = {1: "one image", 2: "two images"}


@frozen(kw_only=True)
class Order:
    """What the command line asks for.

    Attributes:
        is_one_more: the job is another one than that of the same command line before.
    """

    scene: str
    images: tuple[str, ...]
    target: Target
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


def effect_of(order: Order) -> Effect:
    """The effect, its images checked, and mended if that is wanted. Blocks.

    Raises:
        EffectRejectedError, ImageRejectedError: says what to change.
    """
    known = catalogue().get(order.scene)
    if known is not None and known.images != len(order.images):
        raise EffectRejectedError(
            f"scene {order.scene!r} takes {_COUNTS[known.images]}, not {len(order.images)}"
        )
    images = [_image(text, is_to_prepare=order.is_to_prepare) for text in order.images]
    if len(images) == 2:
        return DualImageEffect(
            order.scene,
            left=images[0],
            right=images[1],
            model_name=order.model_name,
            mode=order.mode,
            duration_s=order.duration_s,
        )
    if order.mode is not None:
        raise EffectRejectedError("--mode is for scenes with two images: leave it out")
    return SingleImageEffect(
        order.scene, image=images[0], model_name=order.model_name, duration_s=order.duration_s
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
