"""What must never be shown: keys, tokens, and what follows ``?`` in a signed URL."""

from __future__ import annotations

import re

__all__ = ["redacted"]

_SECRETS = (
    (re.compile(r"(https?://[^\s\"'<>?#]+)[?#][^\s\"'<>]*"), r"\1?..."),
    (re.compile(r"(https?://)[^\s/@\"'<>]+@"), r"\1...@"),
    (re.compile(r"(?i)(bearer\s+)[A-Za-z0-9._~+/=-]+"), r"\1..."),
    (re.compile(r"\bsk-[A-Za-z0-9_*-]{4,}"), "sk-..."),
    (re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), "eyJ..."),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=]+"), "whsec_..."),
)


def redacted(text: str) -> str:
    """The text with everything that looks like a secret cut out."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text
