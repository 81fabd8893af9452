"""Whether a framework's request was handed over as it came; a mistake there is not the sender's."""

from __future__ import annotations

__all__ = ["check_headers", "check_path"]


def check_headers(headers: object) -> None:
    """Reject what would count every message as unsigned.

    Raises:
        TypeError: it is no mapping, or a name or a value is no ``str``; the message says what to
            pass.
    """
    pairs = getattr(headers, "items", None)
    if not callable(pairs):
        raise TypeError(
            "headers must be a mapping of names to values, such as request.headers, not "
            f"{type(headers).__name__}"
        )
    wrong = {type(text).__name__ for pair in pairs() for text in pair if not isinstance(text, str)}
    if wrong:
        raise TypeError(
            f"headers must be a mapping of str to str, such as request.headers, not of "
            f"{' and '.join(sorted(wrong))}: decode what an ASGI scope has, as latin-1"
        )


def check_path(path: object) -> None:
    """Reject what has no last part to look up.

    Raises:
        TypeError: it is no ``str``; the message says what to pass.
    """
    if not isinstance(path, str):
        raise TypeError(
            f"path must be the str of the request's path, such as request.url.path or "
            f"scope['path'], not {type(path).__name__}"
        )
