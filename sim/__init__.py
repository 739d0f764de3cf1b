"""Verification: simulation of the very RTL that is synthesised."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).parents[1] / "firmware/siblings.py"))["check"]("hw", "model")

from model.common.errors import starting  # noqa: E402

starting()
