"""A JSON array with an object a line."""

from collections.abc import Iterable
from typing import TextIO

import orjson


def write_array(rows: Iterable[object], out: TextIO, *, end: str = "\n") -> None:
    """Write the rows as a JSON array, one after the other."""
    before = "[\n"
    for row in rows:
        out.write(f"{before}{orjson.dumps(row).decode()}")
        before = ",\n"
    out.write(f"[]{end}" if before == "[\n" else f"\n]{end}")
