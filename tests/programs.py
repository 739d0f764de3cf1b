"""All programs of the project, found by their `__main__` guards, and how tests start them."""

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["EXTRA", "PACKAGES", "PROGRAMS", "ROOT", "run_without"]

ROOT = Path(__file__).parents[1]
PACKAGES = ("hw", "model", "sim", "firmware")
EXTRA = ("torch", "matplotlib", "onnx", "onnxruntime", "markdown_it", "optuna")
"""What the extra `model` installs, by the names that are imported."""

# Nobody types it: `model.common.children` runs it by its path.
_NO_PROGRAM = ROOT / "model/common/supervisor.py"
PROGRAMS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if path != _NO_PROGRAM and '\nif __name__ == "__main__":\n' in path.read_text("utf-8")
)

_WITHOUT = """
import runpy, sys
absent, module, *words = sys.argv[1:]
sys.modules |= dict.fromkeys(absent.split(",") if absent else [])
sys.argv = [module, *words]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def run_without(absent, module, *words, **options) -> subprocess.CompletedProcess:
    """`python -m module words` where the packages `absent` cannot be imported."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    command = [sys.executable, "-W", "error", "-c", _WITHOUT, ",".join(absent), module]
    return subprocess.run(
        [*command, *map(str, words)],
        capture_output=True, encoding="utf-8", env=environment, timeout=120, **options,
    )  # fmt: skip
