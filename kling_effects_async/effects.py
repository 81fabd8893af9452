"""What a caller asks for: one effect on one image, or on two.

A ``Path`` is a file, a ``str`` is an http(s) URL that Kling can reach, ``bytes`` are an encoded
JPEG or PNG. Nothing is guessed, and nothing is read here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeAlias

from attrs import Attribute, field, frozen

from kling_effects_async.errors import EffectRejectedError, ImageRejectedError
from kling_effects_async.models import without_query

__all__ = ["DualImageEffect", "Effect", "ImageSource", "SingleImageEffect", "image_label"]

ImageSource: TypeAlias = Path | str | bytes

_URL = re.compile(r"https?://[^/?#]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]{64,}")


def image_label(image: ImageSource) -> str:
    """What to call an image in a message: short, and without a URL's signature."""
    if isinstance(image, bytes):
        return f"image of {len(image):,} bytes"
    return image.name if isinstance(image, Path) else without_query(image).strip("'")


def _image_repr(image: ImageSource) -> str:
    return repr(image) if isinstance(image, Path) else f"<{image_label(image)}>"


def _is_image(_effect: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, (Path, bytes)):
        return
    if not isinstance(value, str):
        raise TypeError(
            f"{attribute.name} must be a Path, an http(s) URL or bytes, not {type(value).__name__}"
        )
    if _URL.match(value):
        return
    raise ImageRejectedError(f"{attribute.name}={value[:40]!r}", [_explain_text(value)])


def _explain_text(value: str) -> str:
    if value.startswith("data:"):
        return "This is a data: URL; decode it and pass the image's bytes."
    if _BASE64.fullmatch(value):
        return "This looks like base64; pass the image's bytes, they are encoded while sending."
    return "A str must be an http(s) URL; for a file pass pathlib.Path(...)."


def _is_scene(_effect: object, _attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise EffectRejectedError(f"scene must be a name such as 'squish', not {value!r}")


def _scene_name(value: object) -> object:
    # A Scene constant becomes its plain name.
    return str(value) if isinstance(value, str) else value


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
        ImageRejectedError: ``image`` is a ``str`` that is no URL.
        EffectRejectedError: ``scene`` is empty or ``duration_s`` is not positive.

    Source: the gateway's effects page (fields); Kling's effects page, 2026-09 (``image`` only).
    """

    scene: str = field(validator=_is_scene, converter=_scene_name)
    image: ImageSource = field(kw_only=True, validator=_is_image, repr=_image_repr)
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
        ImageRejectedError: ``left`` or ``right`` is a ``str`` that is no URL.
        EffectRejectedError: ``scene`` is empty or ``duration_s`` is not positive.

    Source: the gateway's dual effects page; Kling's effects page, 2026-09 (``images`` only).
    """

    scene: str = field(validator=_is_scene, converter=_scene_name)
    left: ImageSource = field(kw_only=True, validator=_is_image, repr=_image_repr)
    right: ImageSource = field(kw_only=True, validator=_is_image, repr=_image_repr)
    model_name: str | None = field(default=None, kw_only=True)
    mode: str | None = field(default=None, kw_only=True)
    duration_s: int | None = field(default=None, kw_only=True, validator=_is_duration)

    @property
    def images(self) -> tuple[ImageSource, ...]:
        """Left, then right."""
        return (self.left, self.right)


Effect: TypeAlias = SingleImageEffect | DualImageEffect
