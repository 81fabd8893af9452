"""The scenes that Kling offered by its pages: advice for people, not a limit.

Scenes are added each week and removed without notice, so a name that is not here is sent all the
same, with a warning. Source: the gateway's page and Kling's effects pages of 2025-04 to 2026-09
(``scenes.json`` was made from them; English names are made from the scene's id, they are not
Kling's own).
"""

from __future__ import annotations

import enum
import json
import pkgutil
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

from attrs import field, frozen

__all__ = ["Scene", "SceneInfo", "catalogue", "find_scene", "folded", "similar_scenes"]


class Scene(enum.StrEnum):
    """The six scenes of the gateway's page; pass any other name as a plain ``str``.

    Source: the gateway's pages "video effects, single" and "video effects, dual", 2026-09.
    """

    FUZZYFUZZY = "fuzzyfuzzy"
    SQUISH = "squish"
    EXPANSION = "expansion"
    HUG = "hug"
    KISS = "kiss"
    HEART_GESTURE = "heart_gesture"


@frozen(kw_only=True)
class SceneInfo:
    """One scene, as the pages describe it.

    Attributes:
        scene: its id, which an effect names.
        images: how many pictures it takes, 1 or 2.
        name_en: its name in English, made from the id.
        name_zh: its name in Chinese; ``None`` where no page has one.
        model_names, modes, durations_s: what was allowed while the field existed; empty where the
            scene never had it. Durations are in seconds.
        regions: which of Kling's newest lists (2026-09) name it: ``mainland``, ``global``; empty:
            neither.
        ended: the day of its announced end, as ``YYYY-MM-DD``; ``None`` without one.
    """

    scene: str
    images: int
    name_en: str
    name_zh: str | None
    model_names: tuple[str, ...] = field(converter=tuple[str, ...])
    modes: tuple[str, ...] = field(converter=tuple[str, ...])
    durations_s: tuple[int, ...] = field(converter=tuple[int, ...])
    regions: tuple[str, ...] = field(converter=tuple[str, ...])
    ended: str | None

    @property
    def is_listed(self) -> bool:
        """One of the newest official lists names it."""
        return bool(self.regions)


def _read() -> Mapping[str, SceneInfo]:
    # Not importlib.resources, which takes longer to load than everything else here.
    rows = json.loads(pkgutil.get_data(__package__, "scenes.json") or b"")
    return MappingProxyType({row["scene"]: SceneInfo(**row) for row in rows})


# Read with the import (3 ms), because the first use may be inside an event loop.
_CATALOGUE = _read()


def catalogue() -> Mapping[str, SceneInfo]:
    """Every scene of the pages by its id; read-only, and without I/O."""
    return _CATALOGUE


def folded(text: str) -> str:
    """The letters and digits of a name, for comparing: ``Heart Gesture`` is ``heartgesture``.

    Case, spaces, dashes, underscores, apostrophes and full-width forms make no difference. No two
    scenes of the catalogue are equal then.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in plain if letter.isalnum())


# The ids by their folded form.
_SCENES = {folded(scene): scene for scene in _CATALOGUE}


def find_scene(name: str) -> str | None:
    """The scene of the catalogue with this name, however it is written; ``None`` without one."""
    return name if name in _CATALOGUE else _SCENES.get(folded(name))


def similar_scenes(name: str) -> list[str]:
    """Up to three scenes of the catalogue with a similar name, the most similar first."""
    import difflib

    return [_SCENES[near] for near in difflib.get_close_matches(folded(name), _SCENES, n=3)]
