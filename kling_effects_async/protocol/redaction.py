"""What must never be shown: keys, tokens, and what follows ``?`` in a signed URL.

Texts come from anybody, so every rule takes time in proportion to the text: a pattern has either a
fixed length, or begins where the run of characters that it takes begins.
"""

from __future__ import annotations

import re

__all__ = ["redacted"]

_WORD = re.compile(r"[^\s\"'<>]+")
_QUERY = re.compile(r"[?#]")
# An equals sign, as it is, percent-encoded, or as some JSON encoders (Gson) write it.
_EQUALS = r"(?:=|%3D|\\u003d)"
_HAS_PAIR = re.compile(_EQUALS, re.IGNORECASE)
# In lower case too, as content types come.
_JWT_START = re.compile(r"(?i)(?:(?<![a-z0-9])|(?<=%[0-9a-f]{2}))eyj[a-z0-9_-]{5}")

# Members of signed addresses and of settings. Sources: the pages on signed URLs of AWS S3 and
# CloudFront, Alibaba OSS and CDN, Tencent COS and CDN, Google Cloud Storage, Akamai, 2026.
_SECRET_NAMES = (
    r"signature|token|credential|hmac|password|key-pair-id"
    r"|secret(?:[_-]?key)?|access[_-]?key(?:[_-]?id)?|access[_-]?id|(?:api|auth)[_-]?key"
)
# Ends of other words ("design="), so these begin where no letter is, or after an encoded ? or /.
_SHORT_NAMES = r"(?:(?<![A-Za-z])|(?<=%3F)|(?<=%2F))(?:sign|sig|policy)"
_PAIR = rf"(?:{_SECRET_NAMES}|{_SHORT_NAMES})(?:{_EQUALS}|\\?[\"']\s?:\s?\\?[\"'])"

_SECRETS = (
    (re.compile(r"//[^\s/@\"'<>]+@"), r"//...@"),
    (re.compile(rf"(?i)({_PAIR})[^\s\"'<>&]+"), r"\1..."),
    (re.compile(r"(?i)\b(authorization\W{1,6}basic\s{1,9})[A-Za-z0-9+/=_-]+"), r"\1..."),
    # Without that word only what ends as base64 does; "basic rules" are nobody's secret.
    (re.compile(r"(?i)\b(basic\s{1,9})[A-Za-z0-9+/_-]+=+"), r"\1..."),
    (re.compile(r"(?i)(bearer\s+)[A-Za-z0-9._~+/=-]+"), r"\1..."),
    (re.compile(r"(?i)api-key-kling-[A-Za-z0-9_.*-]*"), "api-key-kling-..."),
    (re.compile(r"\bsk-[A-Za-z0-9_*-]{4,}"), "sk-..."),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=]+"), "whsec_..."),
)

# Without one of these no rule above can match. Most texts of an answer are a word or an id, and the
# rules took a tenth of a poll's time.
_NEEDED = re.compile(r"[=%\\\"'/\s]|eyj|sk-|whsec_|api-key-kling-", re.IGNORECASE)


def redacted(text: str) -> str:
    """The text with everything that looks like a secret cut out."""
    if _NEEDED.search(text) is None:
        return text
    text = _WORD.sub(_without_query, text)
    text = _WORD.sub(_without_token, text)
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _without_query(word: re.Match[str]) -> str:
    """An address, with a scheme or without one, up to its query."""
    mark = _QUERY.search(word[0])
    if mark is None:
        return word[0]
    before, after = word[0][: mark.start()], word[0][mark.end() :]
    is_short_address = mark[0] == "?" and _HAS_PAIR.search(after)
    return f"{before}?..." if "://" in before or is_short_address else word[0]


def _without_token(word: re.Match[str]) -> str:
    """A signed token (JWT), whole or cut short: how its first part begins, and what follows."""
    start = _JWT_START.search(word[0])
    if start is None:
        return word[0]
    return f"{word[0][: start.start()]}..."
