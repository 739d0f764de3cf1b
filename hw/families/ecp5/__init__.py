"""The family ECP5: weights, records and the processor's memory lie in block RAM.

Multipliers and memories are inferred by yosys.
"""

from hw.capability import SLICE_BITS, Capability
from hw.families.ecp5.pll import solve_pll
from hw.families.family import Family, Flow, Resource
from hw.families.memories import block_memories, blocks_for

__all__ = ["BUDGETS", "FAMILY"]

_DSP_OF_REQUANTISER = 2


def _budget(lut: int, dsp: int, ebr: int) -> dict[str, int]:
    # A slice of two LUT4 has two flip-flops.
    return {"lut": lut, "ff": lut, "dsp": dsp, "ebr": ebr}


BUDGETS = {
    "12F": _budget(24288, 28, 56),
    "25F": _budget(24288, 28, 56),
    "45F": _budget(43848, 72, 108),
    "85F": _budget(83640, 156, 208),
}
"""What a device of each size has: LUT4 and flip-flops, MULT18X18D, DP16KD. The letters before the
size (LFE5U, LFE5UM, LFE5UM5G) are about its serial transceivers alone.

Source: what nextpnr-ecp5 counts, for Lattice FPGA-DS-02012, table "ECP5 and ECP5-5G family
selection guide". The data sheet promises half the logic cells and 32 block RAMs of a 12F; it is the
die of a 25F, and the tools use all of it."""


# Of 16 kbit, or 18 with the ninth bits (FPGA-TN-02204).
_BLOCK_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))


def _count_blocks(capability: Capability) -> dict[str, int]:
    """Multipliers: one a lane, and the requantiser's."""
    # Bytes are written one by one: a block holds two.
    columns = capability.lanes * SLICE_BITS // 16
    weights = columns * blocks_for(capability.weight_depth, 16, _BLOCK_SHAPES)
    memories = block_memories(capability)
    return {
        "dsp": capability.lanes + _DSP_OF_REQUANTISER,
        "ebr": weights + sum(blocks_for(depth, width, _BLOCK_SHAPES) for depth, width in memories),
    }


_PACKAGES = {
    "BG256": "CABGA256",
    "MG285": "CSFBGA285",
    "BG381": "CABGA381",
    "BG554": "CABGA554",
    "BG756": "CABGA756",
}

FAMILY = Family(
    name="ecp5",
    title="ECP5",
    blocks_module="hw.families.ecp5.blocks",
    resources={
        "lut": Resource(short="LUT4s", name="logic cells (LUT4)", cell="TRELLIS_COMB"),
        "ff": Resource(short="flip-flops", name="flip-flops", cell="TRELLIS_FF"),
        "dsp": Resource(short="DSPs", name="multipliers (MULT18X18D)", cell="MULT18X18D"),
        "ebr": Resource(short="EBRs", name="block RAMs (EBR)", cell="DP16KD"),
    },
    count_blocks=_count_blocks,
    solve_clock=solve_pll,
    flash_clock_is_a_cell=True,
    flash_offset=0x20_0000,
    bitstream_flow=Flow(
        synthesis="synth_ecp5 -top top -json top.json",
        place_and_route="nextpnr-ecp5",
        pack="ecppack",
        devices={
            f"{letters}-{size}": (f"--{option}{size[:-1]}k",)
            for letters, option in (("LFE5U", ""), ("LFE5UM", "um-"), ("LFE5UM5G", "um5g-"))
            for size in BUDGETS
            if not (option and size == "12F")
        },
        package_name=_PACKAGES.__getitem__,
        constraints="top.lpf",
        constraints_option="--lpf",
        placed="top.config",
        placed_option="--textcfg",
        bitstream="top.bit",
        pack_options=("--compress",),
        cell_pattern=r"_(LUT4|CCU2C|PFUMX|L6MUX21|TRELLIS_FF|DP16KD|MULT18X18D|TRELLIS_DPR16X4)_.*",
        route_options=("--router", "router2"),
        speed_option="--speed",
    ),
)
