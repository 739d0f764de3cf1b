"""The accelerator: planned, generated, verified, synthesised for a board."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).parents[1] / "firmware/siblings.py"))["check"]("model", "sim")

from model.common.errors import starting  # noqa: E402

starting()
