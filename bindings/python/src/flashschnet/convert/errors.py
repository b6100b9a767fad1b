"""The one error of the converter."""

from __future__ import annotations

from typing import Any

__all__ = ["ConvertError", "brief"]

_LONGEST = 60


class ConvertError(Exception):
    """A file that cannot be converted, and why, in one line."""

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else "?" for c in message))


def brief(value: Any) -> str:
    """A value out of a file, for a message: never long, never by walking through what it holds."""
    if value is None or isinstance(value, (str, int, float)):
        text = repr(value) if not isinstance(value, int) or abs(value) < 1 << 64 else "a huge number"
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return f"a {type(value).__name__}"
