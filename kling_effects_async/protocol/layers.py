"""The layers of a body, outermost first, however often it is wrapped.

One gateway is documented with the flat and with the wrapped shape, others wrap twice: the body of
the service behind them, its own envelope included, sits in ``data``. So we peel while there is a
``data`` object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from kling_effects_async.protocol.json_body import json_object
from kling_effects_async.protocol.messages import Reply

__all__ = ["LAYERS_MAX", "Layer", "first_value", "layers_of", "request_id_of"]

Layer: TypeAlias = Mapping[str, Any]

# The deepest documented nesting is four (a gateway's envelope, its task, Kling's envelope, Kling's
# task); more than twice that is an attack or a fault.
LAYERS_MAX = 8
# new-api's own header, then the one that most proxies use.
_REQUEST_ID_HEADERS = ("x-oneapi-request-id", "x-request-id")


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
