"""What a family of FPGAs is to the engine, the build and the simulation."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Protocol

from hw.capability import Capability
from hw.weight_blocks import WEIGHT_BLOCKS, MemoryBlock

__all__ = ["ClockSettings", "ClockSolver", "Family", "Flow", "Resource"]


@dataclass(frozen=True, kw_only=True)
class Resource:
    """What a device has a number of.

    ``short`` and ``name`` are its names in tables and in messages; ``cell`` is what the
    place-and-route tool calls it.
    """

    short: str
    name: str
    cell: str


@dataclass(frozen=True, kw_only=True)
class Flow:
    """How a design becomes a bitstream. Files are ``top.*`` in the folder of the build.

    Parameters
    ----------
    synthesis : str
        The command of yosys behind ``read_rtlil``, which writes ``top.json``.
    place_and_route, pack : str
        Names of the tools, as `hw.flow.tools` knows them.
    devices : mapping of str to sequence of str
        Options of place-and-route that choose a device, by the vendor's name of it.
    package_name : callable
        The vendor's name of a package to that of place-and-route.
    constraints, constraints_option : str
        File of pins and clocks, which Amaranth's platform writes, and the option of place-and-route
        before its name.
    placed, placed_option : str
        File that place-and-route writes, and the option before its name.
    bitstream : str
        File that the packer writes.
    pack_options : tuple of str
        Options of the packer before both files.
    cell_pattern : str
        Regular expression of what yosys appends to the name of a signal.
    route_options : tuple of str
        More options of place-and-route.
    speed_option : str
        Its option before a device's speed grade; empty where the family has none.
    """

    synthesis: str
    place_and_route: str
    pack: str
    devices: Mapping[str, tuple[str, ...]]
    package_name: Callable[[str], str]
    constraints: str
    constraints_option: str
    placed: str
    placed_option: str
    bitstream: str
    pack_options: tuple[str, ...]
    cell_pattern: str
    route_options: tuple[str, ...] = ()
    speed_option: str = ""

    @property
    def tools(self) -> tuple[str, ...]:
        """All tools, in the order of their use."""
        return ("yosys", self.place_and_route, self.pack)


class ClockSettings(Protocol):
    """How a clock is made of a board's; all but its frequency is known to its family's blocks."""

    @property
    def output_hz(self) -> float:
        """The frequency that these settings make, Hz."""
        ...


class ClockSolver(Protocol):
    """Finds settings for a clock; `ValueError` names what is out of reach."""

    def __call__(self, *, input_hz: int, output_hz: int) -> ClockSettings: ...


def _none(_: Capability) -> dict[str, int]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family.

    Parameters
    ----------
    name : str
        As `Capability.family`: a key of `hw.weight_blocks.WEIGHT_BLOCKS`.
    title : str
        The family in messages.
    blocks_module : str
        Module with `products` and `weight_store`, which make the engine's multipliers and weight
        memory, with `clock_domain` where there is a `solve_clock`, and with `flash_clock` where
        that is a cell. It needs Amaranth, so it is imported when it is asked for.
    resources : mapping of str to Resource
        By the keys of a board's budget.
    count_blocks : callable
        Capability to the hard blocks that the engine takes: key of the budget to count.
    solve_clock : ClockSolver or None
        Makes other clocks of the board's; None: it makes none.
    flash_clock_is_a_cell : bool
        A cell drives the clock of the flash, which holds the bitstream, not a pin of the design.
    flash_offset : int
        Bytes of the flash before those that the device sees: what a bitstream needs beyond
        `firmware.layout.BITSTREAM_BYTES`.
    simulated_file, simulated_cells : str, tuple of str
        Modules of a file in yosys' share folder that a simulation needs.
    simulated_defines : tuple of str
        Verilog macros that are defined before these modules.
    bitstream_flow : Flow or None
        None: for simulation alone.
    """

    name: str
    title: str
    blocks_module: str
    resources: Mapping[str, Resource] = field(default_factory=dict)
    count_blocks: Callable[[Capability], dict[str, int]] = _none
    solve_clock: ClockSolver | None = None
    flash_clock_is_a_cell: bool = False
    flash_offset: int = 0
    simulated_file: str = ""
    simulated_cells: tuple[str, ...] = ()
    simulated_defines: tuple[str, ...] = ()
    bitstream_flow: Flow | None = None

    @property
    def flow(self) -> Flow:
        """How a design becomes a bitstream; `ValueError` of a family for simulation alone."""
        if self.bitstream_flow is None:
            raise ValueError(f"Family {self.name} is for simulation alone")
        return self.bitstream_flow

    @property
    def weight_block(self) -> MemoryBlock | None:
        """What the weight memory is made of; None: memories of 32 bits, which tools infer."""
        return WEIGHT_BLOCKS[self.name]

    def clock(self, *, input_hz: int, output_hz: int) -> ClockSettings | None:
        """Settings for a clock of `output_hz` from a board's clock; None where they are the same.

        `blocks().clock_domain(settings, resource, routed=…)` is the clock domain of them. Raises
        `ValueError` that names what is out of reach.
        """
        if output_hz == input_hz:
            return None
        if self.solve_clock is None:
            raise ValueError(
                f"Family {self.name} makes no clock of {output_hz / 1e6:g} MHz from "
                f"{input_hz / 1e6:g} MHz: it has no PLL"
            )
        return self.solve_clock(input_hz=input_hz, output_hz=output_hz)

    def blocks(self) -> ModuleType:
        """The module that makes the engine's blocks."""
        return importlib.import_module(self.blocks_module)
