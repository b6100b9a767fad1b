"""The one error of the converter."""

from __future__ import annotations

__all__ = ["ConvertError"]


class ConvertError(Exception):
    """A file that cannot be converted, and why, in one line."""
