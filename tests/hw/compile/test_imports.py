"""The planner works without Amaranth: what a host needs of it is imported where Amaranth cannot be.

What describes hardware (`hw.engine`, `hw.soc`) is not loaded either, but for its registers.
"""

import subprocess
import sys

SCRIPT = """
import importlib, pkgutil, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0].startswith("amaranth"):
            raise ImportError(f"{name} must not be imported here")

sys.meta_path.insert(0, Blocker())
import hw.compile
names = [module.name for module in pkgutil.iter_modules(hw.compile.__path__, "hw.compile.")]
names += ["hw.capability", "hw.layer_entry", "hw.parameter_word", "hw.pipeline", "hw.regions"]
names += ["hw.families", "hw.weight_blocks"]
names += ["hw.register_map", "hw.regmap", "firmware.protocol", "firmware.frames", "firmware.layout"]
for name in names:
    importlib.import_module(name)
loaded = [
    name
    for name in sys.modules
    if name.startswith(("hw.engine", "hw.soc.")) and not name.endswith("_registers")
]
assert not loaded, loaded
print(len(names))
"""


def test_the_planner_needs_no_amaranth():
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 13
