"""An answer of the service, before aiohttp makes an HTTP response of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from attrs import field, frozen

__all__ = ["EmulatedReply", "html_page", "json_reply", "kling_envelope"]

_INDEX_PAGE = (
    "<!doctype html><html><head><title>Gateway</title></head>"
    '<body><div id="root"></div></body></html>'
)


@frozen
class EmulatedReply:
    """Status, body and headers. ``headers`` do not include the content type."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(factory=dict)


def json_reply(
    status: int, payload: object, headers: Mapping[str, str] | None = None
) -> EmulatedReply:
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    # A rejection repeats what was sent; half of a surrogate pair becomes a question mark.
    return EmulatedReply(status, text.encode(errors="replace"), headers=headers or {})


def kling_envelope(content: object, request_id: str) -> dict[str, object]:
    """Kling's own wrapping of a success."""
    return {"code": 0, "message": "SUCCEED", "request_id": request_id, "data": content}


def html_page(status: int = 200, text: str = _INDEX_PAGE) -> EmulatedReply:
    return EmulatedReply(status, text.encode(), "text/html")
