"""`hw` works without torch: every module of it is imported where torch cannot be."""

import subprocess
import sys

SCRIPT = """
import importlib, pkgutil, sys

FORBIDDEN = ("torch", "brevitas", "matplotlib")

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} must not be imported here")

sys.meta_path.insert(0, Blocker())
import hw
count = 0
for module in pkgutil.walk_packages(hw.__path__, "hw."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        count += 1
import model.network, model.common.errors, model.zoo
loaded = sorted(name for name in sys.modules if name.split(".")[0] in FORBIDDEN)
assert not loaded, loaded
print(count)
"""


def test_hw_imports_without_torch(tmp_path):
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 10
