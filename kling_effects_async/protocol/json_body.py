"""JSON from a stranger, read strictly: what it is, or a ``ValueError``."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

__all__ = ["json_object", "parse_json"]

# How JSON spells half a character (a lone surrogate), and each half of a whole one.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse_json(body: bytes) -> object:
    """JSON, strictly: UTF-8 without a mark, no ``NaN``, no bottomless nesting.

    Half a character, which JSON can spell and nothing can store, becomes U+FFFD.

    Raises:
        ValueError: it is not that.
    """
    try:
        document = _DECODER.decode(body.decode("utf-8"))
        return _whole(document) if _SURROGATE.search(body) else document
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _whole(value: object) -> object:
    """The value with every text whole."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {str(_whole(name)): _whole(each) for name, each in value.items()}
    return value


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_reject_constant)


def json_object(text: object) -> dict[str, Any] | None:
    """The JSON object in a text, if it is one."""
    if not isinstance(text, str) or not text:
        return None
    try:
        found = parse_json(text.encode())
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
