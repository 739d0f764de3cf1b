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

from hw.capability import SLICE_BITS, Capability
from hw.engine.engine import Engine
from hw.families import find_family
from hw.flow.steps import NO_COLLISIONS
from hw.flow.tools import Toolchain
from hw.layer_entry import ENTRY_WORDS
from hw.soc.accelerator import Accelerator

__all__ = [
    "TOP",
    "Backdoor",
    "Design",
    "convert",
    "elaborate",
    "find_memories",
    "ports_of",
    "write_verilog",
]

#: Name of the design's module.
TOP = "device"

_ENGINE = f"{TOP}.engine"
_KEYWORDS = ("table",)


@dataclass(frozen=True, kw_only=True)
class Backdoor:
    """One memory that a simulation loads directly: its path, words, and what it holds.

    ``path`` is the Verilog path from the harness. Its words are those of `region`, each ``bits``
    wide, that lie at ``part`` of each run of ``parts`` pieces of so many bits: ``depth`` of them,
    from number ``first`` on.
    """

    path: str
    region: str
    bits: int
    depth: int
    part: int = 0
    parts: int = 1
    first: int = 0


@dataclass(frozen=True, kw_only=True)
class Design:
    """Elaborated design: RTLIL, and the Verilog path of every signal that a harness watches."""

    capability: Capability
    rtlil: str
    signals: dict[str, str]


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
        "issue": parts.walker.valid,
        "busy": engine.host.busy,
        "layer": engine.host.layer,
        "frames": engine.host.frames,
        "decision": engine.host.decision,
    }
    signals = {what: _path(names[signal]) for what, signal in watched.items()}
    return Design(capability=capability, rtlil=text, signals=signals)


def _path(names):
    """A Verilog path; names that Verilog does not take as they are, escaped."""
    plain = re.compile(r"[A-Za-z_]\w*")
    return ".".join(
        name if plain.fullmatch(name) and name not in _KEYWORDS else f"\\{name} " for name in names
    )


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


def find_memories(design: Design, verilog: str) -> list[Backdoor]:
    """The memories in the text of `write_verilog`'s file, as the regions of a plan fill them.

    Raises `ValueError` where a memory is missing or has another shape than the capability says.
    """
    capability = design.capability
    halves = capability.bus_words_per_weight_word
    found = []
    if (block := find_family(capability.family).weight_block) is not None:
        module, _ = _module(verilog, "weights")
        parts = capability.lanes * SLICE_BITS // block.bits
        for part in range(parts):
            path = _path([*module.split("."), f"{block.name}{part}", block.array])
            found.append(
                Backdoor(path=path, region="weights", bits=block.bits, part=part, parts=parts,
                         depth=block.depth)
            )  # fmt: skip
    else:
        for half in range(halves):
            found.append(
                _memory(verilog, "weights", f"half{half}", "weights", 32, capability.weight_depth,
                        part=half, parts=halves)
            )  # fmt: skip
    depth = capability.parameter_words
    found += [
        _memory(verilog, "parameters", "low", "parameters", 32, depth, parts=2),
        _memory(verilog, "parameters", "high", "parameters", 16, depth, part=1, parts=2),
        *_image(verilog, capability.image_bytes // 4),
        _memory(verilog, "", "table", "layers", 16, capability.layer_entries * ENTRY_WORDS),
    ]
    for bank in range(2):
        found.append(
            _memory(verilog, "activations", f"bank{bank}", "activations", capability.word_bits,
                    capability.bank_words)
        )  # fmt: skip
    return found


def _module(verilog, component):
    """Name and text of the module of one of the engine's components ("": of the engine)."""
    name = ".".join(filter(None, (_ENGINE, component)))
    # The generator numbers names that would clash with a signal's.
    found = re.search(
        rf"^module \\({re.escape(name)}(?:\$\d+)?) .*?^endmodule", verilog, re.MULTILINE | re.DOTALL
    )
    if found is None:
        raise ValueError(f"Verilog must have a module {name}")
    return found[1], found[0]


def _image(verilog, depth):
    """The image memory, in parts whose depths are powers of two."""
    split = 1 << depth.bit_length() - 1
    found = [_memory(verilog, "image", "low", "image", 32, split)]
    if depth > split:
        found.append(_memory(verilog, "image", "high", "image", 32, depth - split, first=split))
    return found


def _memory(verilog, component, name, region, bits, depth, **pieces):
    module, text = _module(verilog, component)
    expected = rf"^  reg \[{bits - 1}:0\] \\?{name} +\[{depth - 1}:0\];"
    if not re.search(expected, text, re.MULTILINE):
        raise ValueError(f"Verilog must have memory {module}.{name} of {depth} x {bits} bits")
    path = _path([*module.split("."), name])
    return Backdoor(path=path, region=region, bits=bits, depth=depth, **pieces)
