"""A body as JSON, read strictly, and its layers, however often it is wrapped.

One gateway is documented with the flat and with the wrapped shape, others wrap twice: the body of
the service behind them, its own envelope included, sits in ``data``. So we peel while there is a
``data`` object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeAlias

from kling_effects_async.protocol.messages import Reply

__all__ = [
    "LAYERS_MAX",
    "Layer",
    "first_value",
    "json_object",
    "layers_of",
    "parse_json",
    "request_id_of",
]

Layer: TypeAlias = Mapping[str, Any]

# The deepest documented nesting is four (a gateway's envelope, its task, Kling's envelope, Kling's
# task); more than twice that is an attack or a fault.
LAYERS_MAX = 8
# new-api's own header, then the one that most proxies use.
_REQUEST_ID_HEADERS = ("x-oneapi-request-id", "x-request-id")

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


def json_object(text: object) -> dict[str, Any] | None:
    """The JSON object in a text, if it is one."""
    if not isinstance(text, str) or not text:
        return None
    try:
        found = parse_json(text.encode())
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_reject_constant)


def layers_of(document: Layer, *, of_one_task: bool = True) -> tuple[Layer, ...]:
    """The document and every object that sits in its ``data``, outermost first.

    Args:
        of_one_task: an array of one object stands for that object, as where the newer path answers
            a query of one task with a list.
    """
    layers = [document]
    while len(layers) < LAYERS_MAX:
        inner = _inner(layers[-1], of_one_task=of_one_task)
        if inner is None:
            break
        layers.append(inner)
    return tuple(layers)


def first_value(layers: Iterable[Layer], *names: str) -> Any:
    """The first value that is not empty; 0 and ``""`` stand for "none" in this API."""
    for layer in layers:
        for name in names:
            value = layer.get(name)
            if value and value != "0":  # one gateway writes times as text
                return value
    return None


def request_id_of(reply: Reply, layers: tuple[Layer, ...]) -> str | None:
    """The service's id for the request: the outermost in the body, else the gateway's header."""
    for layer in layers:
        if layer.get("request_id"):
            return str(layer["request_id"])
    for name in _REQUEST_ID_HEADERS:
        if reply.headers.get(name):
            return reply.headers[name].encode("utf-8", "replace").decode()
    return None


def _inner(layer: Layer, *, of_one_task: bool) -> Layer | None:
    inner = layer.get("data")
    if of_one_task and isinstance(inner, list) and len(inner) == 1:
        inner = inner[0]
    if isinstance(inner, dict):
        return inner
    return json_object(layer.get("resp_data"))  # one query page carries the upstream body as text
