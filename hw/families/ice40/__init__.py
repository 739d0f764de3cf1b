"""The family iCE40: the UP5K, whose weights lie in SPRAM and whose multipliers are SB_MAC16."""

from hw.capability import SLICE_BITS, Capability
from hw.families.family import Family, Flow, Resource
from hw.families.ice40.pll import solve_pll
from hw.families.memories import block_memories, blocks_for

__all__ = ["FAMILY"]


_BLOCK_SHAPES = ((256, 16), (512, 8), (1024, 4), (2048, 2))  # of 4 kbit (TN1250, table 1)


def _count_blocks(capability: Capability) -> dict[str, int]:
    """DSPs hold two lanes, SPRAMs 16 bits of a weight word."""
    shown = (capability.lanes, capability.accumulator_bits)  # what each lane showed last
    memories = [*block_memories(capability), shown]
    return {
        "dsp": -(-capability.lanes // 2),
        "ebr": sum(blocks_for(depth, width, _BLOCK_SHAPES) for depth, width in memories),
        "spram": -(-capability.lanes * SLICE_BITS // 16),
    }


FAMILY = Family(
    name="ice40",
    title="iCE40",
    blocks_module="hw.families.ice40.blocks",
    resources={
        "lc": Resource(short="logic cells", name="logic cells", cell="ICESTORM_LC"),
        "dsp": Resource(short="DSPs", name="DSP blocks", cell="ICESTORM_DSP"),
        "ebr": Resource(short="EBRs", name="block RAMs (EBR)", cell="ICESTORM_RAM"),
        "spram": Resource(short="SPRAMs", name="large RAMs (SPRAM)", cell="ICESTORM_SPRAM"),
    },
    count_blocks=_count_blocks,
    solve_clock=solve_pll,
    simulated_file="ice40/cells_sim.v",
    simulated_cells=("SB_MAC16", "SB_SPRAM256KA"),
    simulated_defines=("NO_ICE40_DEFAULT_ASSIGNMENTS",),
    bitstream_flow=Flow(
        synthesis="synth_ice40 -device u -top top -json top.json",
        place_and_route="nextpnr-ice40",
        pack="icepack",
        devices={"iCE40UP5K": ("--up5k",)},
        package_name=str.lower,
        constraints="top.pcf",
        constraints_option="--pcf",
        placed="top.asc",
        placed_option="--asc",
        bitstream="top.bin",
        # The flash stays awake: the processor's first instruction comes from there.
        pack_options=("-s",),
        cell_pattern=r"_SB_(LUT4|CARRY|DFF[A-Z]*|RAM40_4K|MAC16)_.*",
    ),
)
