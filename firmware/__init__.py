"""What runs beside the accelerator: the host tool, and the contract of its transports."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).parents[1] / "firmware/siblings.py"))["check"](
    "hw", "model", "sim"
)

from model.common.errors import starting  # noqa: E402

starting()
