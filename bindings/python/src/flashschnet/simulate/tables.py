"""Tables of a run, as CSV or Parquet; what their files are called says which."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .config import ConfigError

__all__ = ["check_format", "read_table", "write_table"]


def check_format(table_format: str) -> None:
    """See whether tables of a format can be written here.

    Raises
    ------
    ConfigError
        If a package is missing.
    """
    if table_format == "parquet":
        _parquet()


def write_table(rows: list[dict[str, Any]], path: Path) -> None:
    """Write rows, which have the same columns."""
    if path.suffix == ".parquet":
        arrow, parquet = _parquet()
        parquet.write_table(arrow.Table.from_pylist(rows), path)
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def read_table(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a table, as texts; numbers are written as Python writes them."""
    if path.suffix == ".parquet":
        _, parquet = _parquet()
        for row in parquet.read_table(path).to_pylist():
            yield {name: str(value) for name, value in row.items()}
        return
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            f"tables in Parquet need pyarrow ({error}): pip install 'flashschnet[parquet]' brings it"
        ) from error
    return pyarrow, pyarrow.parquet
