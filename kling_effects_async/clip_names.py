"""Names of clips that are made from what they show; pure text, and the same on every system.

A name is checked where a person wrote it, and made harmless where a file, a URL or a service did:
what no Windows file may be called is called otherwise on Linux too, because folders travel.

A recorded name may hold ``TASK_ID``, which a task's id takes the place of once there is one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from string import Formatter
from urllib.parse import unquote, urlsplit

from attrs import frozen

from kling_effects_async.arguments import check_name
from kling_effects_async.effects import Effect, ImageSource
from kling_effects_async.errors import SettingsError

__all__ = [
    "DEVICE",
    "FIELDS",
    "SUFFIX",
    "TASK_ID",
    "NameTemplate",
    "check_clip_name",
    "clip_key",
    "clip_name",
    "is_named_by_task",
    "numbered",
    "stem_of",
]

SUFFIX = ".mp4"
FIELDS = ("stem", "scene", "task_id", "external_task_id", "index")
# No name that was made harmless holds these two characters.
TASK_ID = "<task_id>"

# What Windows keeps for devices, whatever follows the dot.
# Source: Microsoft, "Naming Files, Paths, and Namespaces".
DEVICE = r"con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]"
_DEVICE = re.compile(rf"(?i)(?:{DEVICE})\s*(?:\.|\Z)")
# What Windows allows in no name, what ends a line, and halves of characters.
_UNFIT = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
_SEPARATOR = re.compile(r"[/\\]")
# In bytes of UTF-8. File systems take 255, and a name gets a number, ".mp4" and, while it comes,
# ".part.json"; with a task's id up to 120 more.
_LONGEST, _LONGEST_WITH_ID, _LONGEST_STEM = 200, 100, 120
_INDEX_WIDTH = re.compile(r"0?[1-9]?d?")


def check_clip_name(argument: str, value: str | None) -> None:
    """Reject what a person cannot have meant as the name of a file.

    Raises:
        SettingsError: it is empty, names a folder, is longer than 200 bytes, or has characters that
            cannot be written to a file; the message says what to do.
    """
    check_name(argument, value)
    if value is None:
        return
    if _SEPARATOR.search(value):
        raise SettingsError(
            f"{argument} {value[:60]!r} names a folder: clips have no folders of their own, so "
            "leave out what is before the last / or \\ (the folder is download_to=)"
        )
    if not _without_suffix(value).strip(" ."):
        raise SettingsError(
            f"{argument} {value!r} is no name for a file: give one such as 'cat-squish'"
        )
    length = len(value.encode("utf-8"))
    if length > _LONGEST:
        raise SettingsError(
            f"{argument} {value[:30]!r}... has {length} bytes of UTF-8, and file systems take few "
            f"more than the {_LONGEST} that are allowed: shorten it"
        )


def clip_name(text: str) -> str:
    """A file name that every file system takes, made of any text, with ``.mp4``."""
    return _file_name(_fit(_without_suffix(text)))


def _file_name(fitted: str) -> str:
    head, mark, tail = fitted.partition(TASK_ID)
    if mark:
        tail = _cut(tail, _LONGEST_WITH_ID // 2)
        head = _cut(head, _LONGEST_WITH_ID - len(tail.encode("utf-8")))
    name = _cut(head + mark + tail, _LONGEST).strip(" .")
    if not name or name.startswith("-") or _DEVICE.match(name):
        name = f"_{name}"
    return name + SUFFIX


def clip_key(name: str) -> str | None:
    """What two names have in common that some file system takes for one; ``None``: none has."""
    if TASK_ID in name:
        return None
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_named_by_task(name: str | None) -> bool:
    """Whether a clip's name holds its task's id (``None``: is that), so that no other has it."""
    return name is None or TASK_ID in name


def numbered(name: str, number: int) -> str:
    """The same name for another clip: ``cat-squish.mp4``, ``cat-squish-2.mp4``, ..."""
    return name if number == 1 else f"{name.removesuffix(SUFFIX)}-{number}{SUFFIX}"


def stem_of(effect: Effect, external_task_id: str) -> str:
    """What the clip's source is called: its file without suffix; of two images, left-right.

    Of a URL it is the last part of its path, and of bytes, which have no name, the external id.
    """
    if all(isinstance(image, bytes) for image in effect.images):
        return external_task_id
    room = _LONGEST_STEM // len(effect.images)
    stems = (_stem(image) or external_task_id for image in effect.images)
    return "-".join(_cut(_fit(stem), room) for stem in stems)


def _given_stem(stem: str | None) -> str:
    return "" if stem is None else _cut(_fit(stem), _LONGEST_STEM)


def _stem(image: ImageSource) -> str:
    if isinstance(image, bytes):
        return ""
    if isinstance(image, str):
        segment = unquote(urlsplit(image).path.rsplit("/", 1)[-1])
        return PurePosixPath(segment.replace("/", "_")).stem
    return image.stem


def _fit(text: str) -> str:
    return _UNFIT.sub("_", unicodedata.normalize("NFC", text))


def _cut(text: str, longest: int) -> str:
    return text.encode("utf-8")[:longest].decode("utf-8", "ignore")


def _without_suffix(text: str) -> str:
    return text[: -len(SUFFIX)] if text.lower().endswith(SUFFIX) else text


@frozen
class NameTemplate:
    """How the clips of a run are called, such as ``{stem}-{scene}``.

    Attributes:
        parts: texts as they are, each with the field after it (``None``: none) and its width.
    """

    text: str
    parts: tuple[tuple[str, str | None, str], ...]

    @classmethod
    def read(cls, text: str) -> NameTemplate:
        """Read a template, and check it.

        Raises:
            SettingsError: it has an unknown field, or no clip could have such a name.
        """
        check_clip_name("name", text)
        template = cls(text, tuple(_parts(_without_suffix(text))))
        fields = [field for _literal, field, _width in template.parts]
        if fields.count("task_id") > 1:
            raise SettingsError(f"name {text!r} has {{task_id}} twice: once is enough")
        return template

    def clip_name(
        self, effect: Effect, *, external_task_id: str, index: int, stem: str | None = None
    ) -> str:
        """The name of an effect's clip; it holds ``TASK_ID`` where the template does.

        Args:
            stem: what its source is called; ``None``: see ``stem_of``.
            index: its place in the source, from 1.
        """
        value: Mapping[str, Callable[[], str | int]] = {
            "stem": lambda: _given_stem(stem) or stem_of(effect, external_task_id),
            "scene": lambda: _cut(_fit(effect.scene), _LONGEST_STEM),
            "external_task_id": lambda: _fit(external_task_id),
            "task_id": lambda: TASK_ID,
            "index": lambda: index,
        }
        return _file_name(
            "".join(
                _fit(literal) + ("" if field is None else format(value[field](), width))
                for literal, field, width in self.parts
            )
        )


def _parts(text: str) -> Iterator[tuple[str, str | None, str]]:
    try:
        parsed = list(Formatter().parse(text))
    except ValueError as error:
        raise SettingsError(
            f"name {text!r} cannot be read ({error}): write a brace that is none of a field twice"
        ) from None
    for literal, field, width, conversion in parsed:
        _check_field(text, field, width or "", conversion)
        yield literal, field, width or ""


def _check_field(text: str, field: str | None, width: str, conversion: str | None) -> None:
    if field is not None and field not in FIELDS:
        fields = ", ".join(f"{{{name}}}" for name in FIELDS)
        raise SettingsError(f"name {text!r} has the unknown field {{{field}}}: there are {fields}")
    is_plain = not width or (field == "index" and _INDEX_WIDTH.fullmatch(width))
    if conversion or not is_plain:
        raise SettingsError(
            f"name {text!r}: only {{index}} takes a width, such as {{index:04}}; leave out what "
            f"is behind {{{field}"
        )
