"""What builds of the boards reached: records that a program makes of reports, never typed."""

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from hw.boards import Board
from hw.flow.steps import design_sha256
from model.common.errors import UserError
from model.common.files import write

__all__ = ["FILE", "add", "is_of_this_design", "read", "record_of"]

FILE = Path(__file__).parents[1] / "boards" / "builds.json"
"""The records, by the boards' names."""

_KEPT = (
    "clock_mhz", "cycles_bound", "cycles_mean", "inferences_per_second_bound",
    "inferences_per_second", "design_sha256", "resources", "tools", "verified",
)  # fmt: skip


def read() -> dict[str, dict[str, Any]]:
    """All records by board; empty if there are none. Raises `UserError` if the file is damaged."""
    try:
        records = json.loads(FILE.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"The records of builds, {FILE}, are damaged: {error}") from error
    if not isinstance(records, dict):
        raise UserError(f"The records of builds, {FILE}, are damaged: they are no table")
    return records


def record_of(report: Mapping[str, Any], day: date) -> dict[str, Any]:
    """What is kept of a build's report (`report.json`), which was made on that day.

    Raises `UserError` if the report is none, or of a build that nothing has verified.
    """
    try:
        tried = report["seeds_tried"]
        conformance = report["verification"]["conformance"]
        record = {
            "date": day.isoformat(),
            "network": report["network"]["name"],
            "network_sha256": report["network"]["sha256"],
            **{key: report[key] for key in _KEPT},
            "conformance_frames": conformance and conformance["frames"],
            "seed": report["seed"],
            "fmax_mhz": report["fmax_mhz"],
            "worst_fmax_mhz": min(one["fmax_mhz"] for one in tried),
            "seeds": len(tried),
            "seeds_met": sum(one["met"] for one in tried),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"This is no report of a build of this version: no {error}") from error
    if not record["verified"]:
        raise UserError("A build that nothing has verified is not recorded")
    return record


def add(board: Board, record: Mapping[str, Any]) -> None:
    """Put a board's record in the place of an earlier one. Raises `UserError` if that fails."""
    records = read() | {board.name: dict(record)}
    write(FILE, json.dumps(dict(sorted(records.items())), indent=2) + "\n")


def is_of_this_design(board: Board, record: Mapping[str, Any]) -> bool:
    """Whether a record is of the design that would be built now; takes some seconds."""
    clock_mhz = record["clock_mhz"]
    top = board.make_top(board.capability, clock_mhz)
    return record["design_sha256"] == design_sha256(board, top)
