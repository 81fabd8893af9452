"""The answer about the account's resource packs, ``GET /account/costs``.

Source: Kling's account page (K6, 2026-09): not under ``/v1``, at most one request a second, the
payload wrapped twice (``data.code``, ``data.msg``). The members of a pack are those that public
client programs read. Not emulated: the real remainders lag up to 12 hours behind.
"""

from __future__ import annotations

from decimal import Decimal

from kling_effects_async.emulator.emulated_clock import milliseconds
from kling_effects_async.emulator.emulated_reply import EmulatedReply, json_reply, kling_envelope

__all__ = ["COSTS_PATH", "MIN_PAUSE_S", "costs_reply"]

COSTS_PATH = "/account/costs"
MIN_PAUSE_S = 1.0

# A choice: a pack that outlives every test.
_PACK_LASTS_S = 365 * 24 * 3600.0


def costs_reply(
    total_units: Decimal | None, left_units: Decimal | None, start_s: float, request_id: str
) -> EmulatedReply:
    """One pack with what is left of it; no pack where units are unlimited."""
    packs = []
    if total_units is not None and left_units is not None:
        packs = [_pack(total_units, left_units, start_s)]
    inner = {"code": 0, "msg": "SUCCEED", "resource_pack_subscribe_infos": packs}
    return json_reply(200, kling_envelope(inner, request_id))


def _pack(total_units: Decimal, left_units: Decimal, start_s: float) -> dict[str, object]:
    return {
        "resource_pack_name": "emulated video pack",
        "resource_pack_id": "emulated",
        "resource_pack_type": "decreasing_total",
        "total_quantity": float(total_units),
        "remaining_quantity": float(left_units),
        "purchase_time": milliseconds(start_s),
        "effective_time": milliseconds(start_s),
        "invalid_time": milliseconds(start_s + _PACK_LASTS_S),
        "status": "online" if left_units > 0 else "runOut",
    }
