"""What is to be made: one effect on one image, or on two.

A ``Path`` is a file, a ``str`` is an http(s) URL that Kling can reach, ``bytes`` are an encoded
JPEG or PNG. Nothing is guessed, and nothing is read here. White space at the ends of a URL is
removed.
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
    """The image's name in a message: short, and without a URL's signature."""
    if isinstance(image, bytes):
        return f"image of {len(image):,} bytes"
    # The name of "." and of "/" is "".
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
    # A member of Scene becomes its plain name. What is no text is left to the validator, which
    # raises an error of ours.
    given: object = value
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

    An option that is ``None`` is sent with the service's default, or left out where the service has
    no such field. Which values a service takes is checked by ``submit``.

    Attributes:
        scene: the service's name of the effect, such as ``"squish"`` or ``Scene.SQUISH``.
        image: a ``Path``, an http(s) URL as ``str``, or the ``bytes`` of a JPEG or PNG.
        model_name: such as ``"kling-v1-6"``.
        duration_s: the clip's length in seconds, such as 5.

    Raises:
        TypeError: ``image`` is of another type, or ``duration_s`` is no whole number.
        ImageRejectedError: ``image`` is a ``str``, but no http(s) URL; for a file pass a ``Path``.
        EffectRejectedError: ``scene`` is empty, or ``duration_s`` is not positive; correct it.

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
    """One effect on two portraits, which Kling itself joins into one picture.

    An option that is ``None`` is sent with the service's default, or left out where the service has
    no such field. Which values a service takes is checked by ``submit``.

    Attributes:
        scene: the service's name of the effect, such as ``"hug"`` or ``Scene.HUG``.
        left, right: each a ``Path``, an http(s) URL as ``str``, or the ``bytes`` of a JPEG or PNG.
        model_name: such as ``"kling-v1-6"``.
        mode: ``"std"`` or ``"pro"``.
        duration_s: the clip's length in seconds, such as 5 or 10.

    Raises:
        TypeError: an image is of another type, or ``duration_s`` is no whole number.
        ImageRejectedError: an image is a ``str``, but no http(s) URL; for a file pass a ``Path``.
        EffectRejectedError: ``scene`` is empty, or ``duration_s`` is not positive; correct it.

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


def check_effect(value: object, *, call: str) -> None:
    """Reject what is no effect.

    Args:
        call: the method that it was passed to, such as "run_many".

    Raises:
        TypeError: it is a path, a str, a dict, ...; the message shows how an effect is made.
    """
    if not isinstance(value, (SingleImageEffect, DualImageEffect)):
        raise TypeError(
            f"{call} takes effects: SingleImageEffect('squish', image=path) or "
            "DualImageEffect('hug', left=path, right=path), "
            f"not {type(value).__name__}"
        )
