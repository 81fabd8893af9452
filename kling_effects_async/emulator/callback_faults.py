"""Scripted faults of callbacks: what goes wrong with one message, as a value.

A fault waits for the next message that is due, of whichever task; faults come in order, and each is
spent by one message. The seconds are those of the event loop's clock, whatever ``speed`` is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import field, frozen, validators

from kling_effects_async.emulator.callback_signing import Signing
from kling_effects_async.emulator.fault_checks import is_seconds, is_whole, made_by_name

__all__ = ["CALLBACK_CONSTRUCTORS", "CallbackFault"]

# A message is not in memory more often than this, whatever a script says. A choice.
_MAX_COPIES = 1000

_MAX_AGE_S = 1e9


def _is_age(_fault: object, _attribute: object, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MAX_AGE_S:
        raise ValueError(f"age_s must be seconds, below 0 for the future, not {value!r}")


def _is_finite(_fault: object, attribute: Any, value: float) -> None:
    if not value < _MAX_AGE_S:
        raise ValueError(f"{attribute.name} must be less than {_MAX_AGE_S:g} s, not {value!r}")


@frozen(kw_only=True)
class CallbackFault:
    """What goes wrong with one message. Make it with one of the constructors.

    Attributes:
        is_sent: ``False``: the message never leaves.
        delay_s, copies, every_s: when it leaves, how often, and how far apart.
        waits_for_next: it leaves right after the task's next message; the last one does not wait.
        signing, age_s: what its signature is like. They matter where the emulator has a secret.
        cut_bytes: how many body bytes the first attempt sends before its connection is closed.
        drip_bytes, drip_every_s: the body comes in pieces this large, this far apart.
    """

    on: ClassVar[str] = "callback"

    is_sent: bool = field(default=True, validator=validators.instance_of(bool))
    delay_s: float = field(default=0.0, validator=[is_seconds, _is_finite])
    copies: int = field(
        default=1, validator=[is_whole, validators.ge(1), validators.le(_MAX_COPIES)]
    )
    every_s: float = field(default=0.0, validator=[is_seconds, _is_finite])
    waits_for_next: bool = field(default=False, validator=validators.instance_of(bool))
    signing: Signing = field(default=Signing.RIGHT, validator=validators.instance_of(Signing))
    age_s: float = field(default=0.0, validator=_is_age)
    cut_bytes: int | None = field(
        default=None, validator=validators.optional([is_whole, validators.ge(0)])
    )
    drip_bytes: int = field(default=0, validator=[is_whole, validators.ge(0)])
    drip_every_s: float = field(default=0.0, validator=[is_seconds, _is_finite])

    @classmethod
    def none(cls) -> CallbackFault:
        """The message is as it should be: to pass over one before the next fault."""
        return cls()

    @classmethod
    def never_sent(cls) -> CallbackFault:
        """The message is lost."""
        return cls(is_sent=False)

    @classmethod
    def late(cls, delay_s: float) -> CallbackFault:
        """The message comes so many seconds too late; the task's next one may overtake it."""
        return cls(delay_s=delay_s)

    @classmethod
    def reordered(cls) -> CallbackFault:
        """The message comes after the task's next one; a task's last one comes as it should."""
        return cls(waits_for_next=True)

    @classmethod
    def repeated(cls, copies: int = 2, every_s: float = 0.0) -> CallbackFault:
        """The message comes so many times, with the same `webhook-id`."""
        return cls(copies=copies, every_s=every_s)

    @classmethod
    def unsigned(cls) -> CallbackFault:
        """The message has no signature, though the emulator has a secret."""
        return cls(signing=Signing.MISSING)

    @classmethod
    def wrongly_signed(cls) -> CallbackFault:
        """The message is signed with a secret that nobody has."""
        return cls(signing=Signing.WRONG)

    @classmethod
    def stale(cls, age_s: float = 600.0) -> CallbackFault:
        """The message is rightly signed with an old timestamp; below 0, with one of the future."""
        return cls(age_s=age_s)

    @classmethod
    def cut(cls, after_bytes: int = 0) -> CallbackFault:
        """The first attempt's connection is closed when this many bytes of the body have left.

        With more bytes than the body has, the receiver gets it whole and its answer is lost.
        """
        return cls(cut_bytes=after_bytes)

    @classmethod
    def drip(cls, piece_bytes: int = 1, every_s: float = 0.1) -> CallbackFault:
        """The body comes a few bytes at a time."""
        if piece_bytes == 0:
            raise ValueError("piece_bytes must be at least 1")
        return cls(drip_bytes=piece_bytes, drip_every_s=every_s)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> CallbackFault:
        """``{"fault": "late", "on": "callback", "delay_s": 5}``: a constructor by name.

        Raises:
            ValueError: the name or an argument does not fit; the message lists what does.
        """
        arguments = {name: value for name, value in given.items() if name != "on"}
        return made_by_name(cls, CALLBACK_CONSTRUCTORS, arguments)

    @property
    def note(self) -> str:
        """What goes wrong, for the log; empty: nothing does."""
        effects = [
            "" if self.is_sent else "never sent",
            f"{self.delay_s:g} s late" if self.delay_s else "",
            "after the next one" if self.waits_for_next else "",
            f"sent {self.copies} times" if self.copies > 1 else "",
            "" if self.signing is Signing.RIGHT else f"{self.signing.value} signature",
            f"a timestamp of {self.age_s:g} s ago" if self.age_s else "",
            "" if self.cut_bytes is None else f"cut after {self.cut_bytes} bytes",
            "sent slowly" if self.drip_bytes else "",
        ]
        return ", ".join(filter(None, effects))


CALLBACK_CONSTRUCTORS: tuple[str, ...] = tuple(
    name
    for name, member in vars(CallbackFault).items()
    if isinstance(member, classmethod) and name != "from_json"
)
