"""Reading the body of a submit as JSON, strictly: what a parser would have to guess is rejected.

Kling's own parser may take more than this. A client that relies on that would break at a gateway
with another one, so the emulator takes only what all of them read alike. Source: RFC 8259, sections
4 (names within an object are unique), 6 (no NaN and no Infinity) and 8.1 (UTF-8, no mark).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

from kling_effects_async.emulator.rejections import RejectedError

__all__ = ["JsonObject", "check_content_type", "is_unicode", "read_json"]

JsonObject: TypeAlias = Mapping[str, object]

_NOT_JSON = "the request body is not valid JSON"


def check_content_type(given: str | None) -> None:
    """Reject a body that is not declared as JSON.

    A choice: HTTP 415 is what Spring answers to such a body by itself, and Kling's unknown paths
    are answered by Spring; nobody has shown Kling's answer to this.

    Raises:
        RejectedError: 1200 with HTTP 415.
    """
    kind = (given or "").partition(";")[0].strip().lower()
    if kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
        return
    raise RejectedError(1200, f"Content type '{kind[:60]}' not supported", status=415)


def read_json(body: bytes) -> JsonObject:
    """The object that a body holds.

    Raises:
        RejectedError: 1200; it is no UTF-8, no JSON, no object, or has a name twice.
    """
    try:
        payload = json.loads(
            body.decode("utf-8"), parse_constant=_reject, object_pairs_hook=_without_repeats
        )
    # RecursionError: the parser calls itself for each bracket, and a body may have nothing else.
    except (ValueError, RecursionError):
        raise RejectedError(1200, _NOT_JSON) from None
    if not isinstance(payload, dict):
        raise RejectedError(1200, "the request body must be a JSON object")
    return payload


def is_unicode(text: str) -> bool:
    """Whether it can be sent as UTF-8; half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _reject(_constant: str) -> NoReturn:
    raise RejectedError(1200, _NOT_JSON)


def _without_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RejectedError(1200, "the request body has a name twice in one object")
    return found
