"""What a caller asks for: one effect on one image, or on two.

A ``Path`` is a file, a ``str`` is an http(s) URL that Kling can reach, ``bytes`` are an encoded
JPEG or PNG. Nothing is guessed, and nothing is read here. White space at the ends of a URL is left
out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeAlias

from attrs import Attribute, field, frozen

from kling_effects_async.errors import EffectRejectedError, ImageRejectedError
from kling_effects_async.web_address import address_label, address_problem, tidied

__all__ = [
    "DualImageEffect",
    "Effect",
    "ImageSource",
    "SingleImageEffect",
    "check_effect",
    "image_label",
]

ImageSource: TypeAlias = Path | str | bytes

_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]{64,}")


def image_label(image: ImageSource) -> str:
    """What to call an image in a message: short, and without a URL's signature."""
    if isinstance(image, bytes):
        return f"image of {len(image):,} bytes"
    # "." and "/" have no last part.
    return image.name or str(image) if isinstance(image, Path) else address_label(image)


def _image_repr(image: ImageSource) -> str:
    return repr(image) if isinstance(image, Path) else f"<{image_label(image)}>"


def _is_image(_effect: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, (Path, bytes)):
        return
    if not isinstance(value, str):
        raise TypeError(
            f"{attribute.name} must be a Path, an http(s) URL or bytes, not {type(value).__name__}"
        )
    problem = _text_problem(value)
    if problem is not None:
        raise ImageRejectedError(f"{attribute.name}={address_label(value)[:40]!r}", [problem])


def _text_problem(value: str) -> str | None:
    if "://" in value[:10]:
        return address_problem(value)
    if value[:5].lower() == "data:":
        return "This is a data: URL; decode it and pass the image's bytes."
    if _BASE64.fullmatch(value):
        return "This looks like base64; pass the image's bytes, they are encoded while sending."
    return "A str must be an http(s) URL; for a file pass pathlib.Path(...)."


def _image_source(value: ImageSource) -> ImageSource:
    return tidied(value) if isinstance(value, str) else value


def _is_scene(_effect: object, _attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise EffectRejectedError(f"scene must be a name such as 'squish', not {value!r}")


def _scene_name(value: str) -> str:
    given: object = value  # whatever was passed; the validator rejects what is no text
    # A Scene constant becomes its plain name.
    return str(given) if isinstance(given, str) else value


def _is_duration(_effect: object, _attribute: Attribute[Any], value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"duration_s must be a whole number of seconds such as 5, not {value!r}")
    if value <= 0:
        raise EffectRejectedError(f"duration_s must be positive, not {value}")


@frozen
class SingleImageEffect:
    """One effect on one image.

    Fields that stay ``None`` are filled with what the service wants, or left out where it has no
    such field.

    Raises:
        ImageRejectedError: ``image`` is a ``str`` that is no URL that can be fetched.
        EffectRejectedError: ``scene`` is empty or ``duration_s`` is not positive.

    Source: the gateway's effects page (fields); Kling's effects page, 2026-09 (``image`` only).
    """

    scene: str = field(validator=_is_scene, converter=_scene_name)
    image: ImageSource = field(
        kw_only=True, validator=_is_image, converter=_image_source, repr=_image_repr
    )
    model_name: str | None = field(default=None, kw_only=True)
    duration_s: int | None = field(default=None, kw_only=True, validator=_is_duration)

    @property
    def images(self) -> tuple[ImageSource, ...]:
        """The one image."""
        return (self.image,)


@frozen
class DualImageEffect:
    """One effect that brings two people together; Kling stitches the two portraits itself.

    Fields that stay ``None`` are filled with what the service wants, or left out where it has no
    such field.

    Raises:
        ImageRejectedError: ``left`` or ``right`` is a ``str`` that is no URL that can be fetched.
        EffectRejectedError: ``scene`` is empty or ``duration_s`` is not positive.

    Source: the gateway's dual effects page; Kling's effects page, 2026-09 (``images`` only).
    """

    scene: str = field(validator=_is_scene, converter=_scene_name)
    left: ImageSource = field(
        kw_only=True, validator=_is_image, converter=_image_source, repr=_image_repr
    )
    right: ImageSource = field(
        kw_only=True, validator=_is_image, converter=_image_source, repr=_image_repr
    )
    model_name: str | None = field(default=None, kw_only=True)
    mode: str | None = field(default=None, kw_only=True)
    duration_s: int | None = field(default=None, kw_only=True, validator=_is_duration)

    @property
    def images(self) -> tuple[ImageSource, ...]:
        """Left, then right."""
        return (self.left, self.right)


Effect: TypeAlias = SingleImageEffect | DualImageEffect


def check_effect(value: object, *, taker: str) -> None:
    """Say at once that something is no effect.

    Args:
        taker: the call that was given it, such as "run_many".

    Raises:
        TypeError: it is a path, a str, a dict, ...; the message shows how an effect is made.
    """
    if not isinstance(value, (SingleImageEffect, DualImageEffect)):
        raise TypeError(
            f"{taker} takes effects: SingleImageEffect('squish', image=path) or "
            "DualImageEffect('hug', left=path, right=path), "
            f"not {type(value).__name__}"
        )
