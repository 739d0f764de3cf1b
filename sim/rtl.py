"""Verilog of the design for a simulator, and where to look into it.

The design is `hw.soc.accelerator.Accelerator`, as it is on every board: the engine, its registers
and memory windows behind a Wishbone bus. The generator and the tool that writes the Verilog are the
build's.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Fragment
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring

from hw.capability import Capability
from hw.engine.engine import Engine
from hw.engine.memory import WordArray
from hw.flow.steps import NO_COLLISIONS
from hw.flow.tools import Toolchain
from hw.soc.accelerator import Accelerator

__all__ = [
    "TOP",
    "Backdoor",
    "Design",
    "check_memories",
    "convert",
    "elaborate",
    "ports_of",
    "write_verilog",
]

#: Name of the design's module.
TOP = "device"

#: The engine's parts that are memories with a back door.
_MEMORIES = ("weights", "parameters", "image", "layers", "activations")


@dataclass(frozen=True, kw_only=True)
class Backdoor:
    """An array of words that a simulation loads directly, as its memory describes it.

    ``path`` is its Verilog path from the harness, ``module`` the Verilog module that has it, and
    ``region`` what a plan calls what it holds.
    """

    path: str
    module: str
    region: str
    array: WordArray


@dataclass(frozen=True, kw_only=True)
class Design:
    """Elaborated design: RTLIL, the Verilog path of every signal that a harness watches, and the
    back doors of the engine's memories.
    """

    capability: Capability
    rtlil: str
    signals: dict[str, str]
    memories: tuple[Backdoor, ...]


class _Observed(Engine):
    """The engine, unchanged; remembers the components that it is made of."""

    def elaborate(self, platform):
        self.module = super().elaborate(platform)
        return self.module


def elaborate(capability: Capability, *, clock_hz: int) -> Design:
    """Elaborate the design for `capability`; its CLOCK_HZ register says `clock_hz`."""
    engine = _Observed(capability)
    device = Accelerator(engine=engine, capability=capability, clock_hz=clock_hz)
    text, names = convert(device, ports_of(device), TOP)
    parts = engine.module.submodules
    watched = {
        "write": parts.drain.write,
        "write_addr": parts.drain.write_addr,
        "write_data": parts.drain.write_data,
        "fetch": parts.walker.o_words.valid,
        "busy": engine.host.busy,
        "layer": engine.host.layer,
        "frames": engine.host.frames,
        "decision": engine.host.decision,
    }
    signals = {what: _path(names[signal]) for what, signal in watched.items()}
    memories = tuple(door for name in _MEMORIES for door in _doors(getattr(parts, name), names))
    return Design(capability=capability, rtlil=text, signals=signals, memories=memories)


def _doors(memory, names):
    """The back doors of a memory. Its module is where one of its own ports is."""
    *module, _ = names[memory.write]
    return [
        Backdoor(
            path=_path([*module, *array.path]),
            module=".".join(module),
            region=memory.region.name.lower(),
            array=array,
        )
        for array in memory.arrays
    ]


def _path(names):
    """A Verilog path; names that Verilog does not take as they are, escaped."""
    plain = re.compile(r"[A-Za-z_]\w*")
    return ".".join(name if plain.fullmatch(name) else f"\\{name} " for name in names)


def ports_of(component: wiring.Component) -> dict:
    """A component's members as Verilog ports: name to (signal, `PortDirection`)."""
    ports = {}
    for path, member, value in component.signature.flatten(component):
        inward = member.flow == wiring.In
        ports["__".join(map(str, path))] = (
            value, PortDirection.Input if inward else PortDirection.Output,
        )  # fmt: skip
    return ports


def convert(component: wiring.Component, ports: dict, top: str):
    """RTLIL of a component as module `top`, and the path of each of its signals."""
    return rtlil.convert_fragment(Fragment.get(component, None), ports, top, emit_src=False)


def write_verilog(text: str, top: str, directory: Path, tools: Toolchain) -> Path:
    """Write RTLIL as `<top>.v` in `directory`, by the same passes as the build's `top.v`."""
    (directory / f"{top}.il").write_text(text, "utf-8")
    script = f"read_rtlil {top}.il\n{NO_COLLISIONS}proc -nomux -norom\nmemory_collect\n"
    script += f"write_verilog -norename -noattr {top}.v\n"
    (directory / f"{top}.ys").write_text(script, "utf-8")
    tools.run("yosys", [f"{top}.ys"], log=directory / "yosys.log", directory=directory)
    return directory / f"{top}.v"


def check_memories(design: Design, verilog: str) -> None:
    """Raise `ValueError` if `write_verilog`'s text lacks one of the design's memories.

    A simulator would say so, but not if a memory has another shape than its description.
    """
    for memory in design.memories:
        array, name = memory.array, re.escape(memory.array.name)
        found = re.search(
            rf"^module \\?{re.escape(memory.module)} ?\(.*?^endmodule", verilog, re.M | re.S
        )
        if len(array.path) > 1:  # a hard block's, whose model has the shape that it must have
            declaration = rf"^  \S.*? \\?{name} +\($"
        else:
            declaration = rf"^  reg \[{array.bits - 1}:0\] \\?{name} +\[{array.depth - 1}:0\];"
        if found is None or not re.search(declaration, found[0], re.M):
            raise ValueError(
                f"Verilog must have memory {memory.module}.{'.'.join(array.path)} "
                f"of {array.depth} x {array.bits} bits"
            )
