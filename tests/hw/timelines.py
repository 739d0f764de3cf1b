"""Worked timelines: what a part's ports show, cycle by cycle, as `docs/timelines.md` draws it."""

import re
from pathlib import Path

__all__ = ["drawn", "in_docs"]

_PAGE = Path(__file__).parents[2] / "docs" / "timelines.md"


def drawn(rows: dict[str, list[str | int | None]]) -> str:
    """Rows of one cell a cycle, under a row of cycle numbers; None is drawn as a dot."""
    cycles = len(next(iter(rows.values())))
    table = {"cycle": list(range(cycles)), **rows}
    cells = {name: ["." if one is None else str(one) for one in row] for name, row in table.items()}
    widths = [max(len(row[cycle]) for row in cells.values()) for cycle in range(cycles)]
    first = max(map(len, cells))
    return "\n".join(
        f"{name:{first}}  "
        + " ".join(f"{one:>{width}}" for one, width in zip(row, widths, strict=True))
        for name, row in cells.items()
    )


def in_docs(heading: str) -> str:
    """The drawing under a heading of the page."""
    text = _PAGE.read_text("utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n.*?^```\n(.*?)\n```$", text, re.M | re.S)
    assert found, f"docs/timelines.md has no drawing under {heading!r}"
    return found[1]
