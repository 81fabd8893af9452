"""Which scenes to show, in which order, and what to say of each; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from attrs import asdict, frozen

from kling_effects_async import Scene, SceneInfo
from kling_effects_async.scenes import folded

__all__ = ["Choice", "chosen", "row_of", "status_of"]

_GATEWAY = tuple(Scene)
_BREAK = re.compile(r"[\s_-]+")  # between words; an empty one is in every name


@frozen(kw_only=True)
class Choice:
    """What the command line asks to see.

    Attributes:
        search: words that must all be in the id or in a name; empty: every scene.
        images: only scenes with so many; ``None``: any.
        shows_all: those that have ended, or are in no list any more, too.
    """

    search: str = ""
    images: int | None = None
    shows_all: bool = False


def chosen(
    scenes: Iterable[SceneInfo], choice: Choice
) -> tuple[Sequence[SceneInfo], Sequence[SceneInfo]]:
    """The scenes to show, those of the gateway's page first, and those that ``--all`` would add."""
    found = sorted((info for info in scenes if _matches(info, choice)), key=_place)
    shown = [info for info in found if choice.shows_all or _is_current(info)]
    return shown, [info for info in found if info not in shown]


def status_of(info: SceneInfo) -> str:
    """Whether it can still be had, as far as the lists tell."""
    facts = ["gateway's page"] if info.scene in _GATEWAY else []
    if info.ended is not None:
        facts.append(f"ended on {info.ended}")
    elif info.is_listed:
        facts.append("listed" if len(info.regions) == 2 else f"listed, {info.regions[0]} only")
    elif not facts:
        facts.append("in no newest list")
    return "; ".join(facts)


def row_of(info: SceneInfo) -> dict[str, object]:
    """A scene as ``--json`` prints it."""
    return {
        **asdict(info),
        "is_listed": info.is_listed,
        "is_in_gateway_page": info.scene in _GATEWAY,
        "status": status_of(info),
    }


def _matches(info: SceneInfo, choice: Choice) -> bool:
    names = [folded(name) for name in (info.scene, info.name_en, info.name_zh or "")]
    words = map(folded, _BREAK.split(choice.search))
    has_words = all(any(word in name for name in names) for word in words)
    return has_words and choice.images in (None, info.images)


def _is_current(info: SceneInfo) -> bool:
    return info.scene in _GATEWAY or (info.is_listed and info.ended is None)


def _place(info: SceneInfo) -> tuple[int, str]:
    first = _GATEWAY.index(Scene(info.scene)) if info.scene in _GATEWAY else len(_GATEWAY)
    return first, info.scene
