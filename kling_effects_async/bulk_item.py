"""One of many: an effect with what belongs to it alone."""

from __future__ import annotations

from attrs import Attribute, field, frozen

from kling_effects_async.arguments import Kind, check_arguments, check_name, check_share
from kling_effects_async.clip_names import check_clip_name
from kling_effects_async.effects import Effect, check_effect
from kling_effects_async.protocol.requests import check_external_task_id

__all__ = ["BulkItem"]

_KINDS = {
    "share": Kind("a str such as 'user-17'", (str,)),
    "name": Kind("a str such as 'cat-squish'", (str,)),
    "stem": Kind("a str such as 'cat'", (str,)),
}


def _is_effect(_item: object, _attribute: Attribute[Effect], value: object) -> None:
    check_effect(value, call="BulkItem")


def _is_id(_item: object, _attribute: Attribute[str | None], value: str | None) -> None:
    if value is not None:
        check_external_task_id(value)


def _is_share(_item: object, attribute: Attribute[str | None], value: str | None) -> None:
    check_arguments(_KINDS, {attribute.name: value})
    check_share(attribute.name, value)


def _is_name(_item: object, attribute: Attribute[str | None], value: str | None) -> None:
    check_arguments(_KINDS, {attribute.name: value})
    check_clip_name(attribute.name, value)


def _is_stem(_item: object, attribute: Attribute[str | None], value: str | None) -> None:
    check_arguments(_KINDS, {attribute.name: value})
    check_name(attribute.name, value)


@frozen
class BulkItem:
    """An effect of ``run_many`` or ``submit_many`` with its own id, share or name.

    ::

        items = [BulkItem(effect, external_task_id=f"order-{n}", name=f"order {n}") ...]

    A subclass may carry more, such as the line of a table; its outcome holds it as ``item``.

    Attributes:
        effect: what is to be made.
        external_task_id: your id of the job; ``None``: one is derived from the run and the content.
            Under another effect's id it fails with ``IdempotencyConflictError``.
        share: whom its slot is for; ``None``: the ``share`` of the call.
        name: the name of its clip's file in the folder ``download_to``, with or without ``.mp4``;
            ``None``: made by the ``name`` of the call. It is taken as it is, without fields; a
            character that Windows allows in no name becomes ``_``, and a name that another job has
            gets a number, as in ``order 7-2.mp4``. Without a folder it is of no use.
        stem: what ``{stem}`` stands for in the ``name`` of the call; ``None``: made from its
            images. Images as bytes have no name of their own.

    Raises:
        TypeError: an argument is of a wrong type.
        EffectRejectedError: ``external_task_id`` cannot be an id.
        SettingsError: ``share`` cannot be a share, ``name`` no name of a file, or ``stem`` a name.
    """

    effect: Effect = field(validator=_is_effect)
    external_task_id: str | None = field(default=None, kw_only=True, validator=_is_id)
    share: str | None = field(default=None, kw_only=True, validator=_is_share)
    name: str | None = field(default=None, kw_only=True, validator=_is_name)
    stem: str | None = field(default=None, kw_only=True, validator=_is_stem)
