"""Our own keys in a text from outside: whole, in part, or as base64, JSON and addresses write them.

A part counts from twelve letters on: any so long has a block of six at a multiple of six in its
text, so one look at every sixth letter finds it, and the time grows with the text alone.
"""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import takewhile
from operator import eq
from string import ascii_lowercase, ascii_uppercase
from urllib.parse import quote

__all__ = ["OwnSecrets"]

# What is shorter is no secret, but would be found in every word.
_SHORTEST = 4
_SHORTEST_PART = 12
_BLOCK = _SHORTEST_PART // 2
# Headers are written in lower case by some. `str.lower` can change the length of a text.
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


class OwnSecrets:
    """Cuts them out.

    Args:
        secrets: what is shorter than four letters is left out.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        secrets = [each for each in secrets if len(each) >= _SHORTEST]
        wholes = {form for each in secrets for form in _wholes(each)}
        # The longest first. With no secret, a pattern that never matches.
        whole = "|".join(map(re.escape, sorted(wholes, key=len, reverse=True))) or r"(?!)"
        self._whole = re.compile(whole, re.IGNORECASE)
        self._blocks: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        for form in wholes.union(*map(_inside, secrets)):
            self._index(form.translate(_LOWER))

    def _index(self, form: str) -> None:
        for at in range(len(form) - _BLOCK + 1):
            self._blocks[form[at : at + _BLOCK]].append((form, at))

    def cut(self, text: str) -> str:
        """The text with ``...`` for each of them."""
        text = self._whole.sub("...", text)
        kept, end = "", 0
        for first, last in self._parts(text.translate(_LOWER)):
            kept, end = f"{kept}{text[end:first]}...", last
        return kept + text[end:]

    def _parts(self, text: str) -> Iterator[tuple[int, int]]:
        end = 0
        for at in range(0, len(text), _BLOCK):
            if at < end or not (places := self._blocks.get(text[at : at + _BLOCK])):
                continue
            before, after = max((_alike(text, at, *place) for place in places), key=sum)
            if before + after >= _SHORTEST_PART:
                yield max(at - before, end), at + after
                end = at + after


def _wholes(secret: str) -> tuple[str, ...]:
    """How others may write it."""
    return (
        secret,
        quote(secret, safe=""),
        secret.replace("/", "\\/"),
        re.sub(r"[^A-Za-z0-9]", lambda found: f"\\u{ord(found[0]):04x}", secret),
        *_in_base64(secret),
    )


def _in_base64(text: str) -> Iterator[str]:
    """With both alphabets."""
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(text.encode()).decode().rstrip("=")


def _inside(secret: str) -> Iterator[str]:
    """Base64 of a longer text, which the secret begins at the second or the third of three."""
    for before in ("-", "--"):
        yield from _in_base64(before + secret)


def _alike(text: str, at: int, form: str, place: int) -> tuple[int, int]:
    """How many letters are the same before these two places, and from them on."""
    before = _same(text[max(0, at - place) : at][::-1], form[:place][::-1])
    return before, _same(text[at : at + len(form)], form[place:])


def _same(one: str, other: str) -> int:
    """How many letters they begin with alike."""
    return sum(1 for _ in takewhile(bool, map(eq, one, other)))
