"""The harness: a Verilog module around the design that loads memories and logs what happens.

Python would be slow at both: it wakes only when a run of frames is over. The device's Wishbone bus
is led through to the harness's ports. The harness itself never drives the design, but for the back
door of its memories; it watches the engine's write port, the walker's words and the frame counter,
and writes one event of four 32-bit words for each:

====================  =======  ==========  =================
word 0                word 1   word 2      word 3
====================  =======  ==========  =================
kind WRITE, layer     cycle    address     data
kind FETCH, layer     cycle    0           0
kind FRAME, layer     cycle    class       0
kind BEGIN            cycle    0           0
kind START            cycle    0           0
====================  =======  ==========  =================

Word 0 is kind + 256 x layer + 65536 x job. FETCH is a layer's first word, FRAME a frame's end,
BEGIN the start of a job's log: what a frame did that was aborted before is not in it. START is
the first cycle in which the engine is busy, so that a frame's cycles are those to the FRAME event
from START, or from the FRAME event before.

Files, all in the folder where the simulation runs: ``<job>.<memory>.hex`` is loaded into a memory
when the job begins, ``<job>.<memory>.<frame>.hex`` into the image memory when the frame before it
ends (an image is read long after that); ``events.bin`` is the log.
"""

from hw.capability import Capability
from hw.soc.accelerator import ADDRESS_WIDTH
from sim.rtl import TOP, Design

__all__ = ["BEGIN", "FETCH", "FRAME", "START", "WRITE", "control_file", "harness"]

WRITE, FETCH, FRAME, BEGIN, START = 1, 2, 3, 4, 5

_PORTS = (
    "clk", "rst", "load", "record", "job", "wanted", "finished", "seen",
    "bus__cyc", "bus__stb", "bus__we", "bus__sel", "bus__adr", "bus__dat_w",
    "bus__dat_r", "bus__ack", "bus__err",
)  # fmt: skip

_TEXT = """\
`timescale 1ns / 1ps
module harness (
  input clk, input rst,
  input bus__cyc, input bus__stb, input bus__we, input [3:0] bus__sel,
  input [{bus_bits} - 1:0] bus__adr, input [31:0] bus__dat_w,
  output [31:0] bus__dat_r, output bus__ack, output bus__err,
  input load,             // rising: load the memories of job number `job`
  input record,           // rising: log the frames to come, `wanted` of them
  input [15:0] job,
  input [31:0] wanted,
  output reg finished,    // all wanted frames were seen, and the first word after them
  output reg [31:0] seen  // frames that have ended
);
  {top} {top} (
    .clk(clk), .rst(rst), .abort(1'b0),
    .bus__cyc(bus__cyc), .bus__stb(bus__stb), .bus__we(bus__we), .bus__sel(bus__sel),
    .bus__adr(bus__adr), .bus__dat_w(bus__dat_w),
    .bus__dat_r(bus__dat_r), .bus__ack(bus__ack), .bus__err(bus__err)
  );

  integer events, i;
  reg logging, loaded, recorded, fetched, busy_before;
  reg [31:0] now, frames_before, fetched_frame;
  reg [7:0] fetched_layer;
  initial begin
    events = $fopen("events.bin", "wb");
    finished = 0; seen = 0; logging = 0; loaded = 0; recorded = 0; fetched = 0; busy_before = 0;
    now = 0; frames_before = 0; fetched_frame = 0; fetched_layer = 0;
  end

  wire [7:0] layer = {layer};
  wire [31:0] frames = {frames};
  wire [31:0] address = {{{{(32 - {address_bits}){{1'b0}}}}, {write_addr}}};
  wire [31:0] word = {{{{(32 - {word_bits}){{1'b0}}}}, {write_data}}};
  wire first = {fetch} && !(fetched && fetched_layer == layer && fetched_frame == seen);

  always @(posedge clk) begin
    now <= now + 1;
    loaded <= load;
    recorded <= record;
    frames_before <= frames;
    busy_before <= {busy};
    if (logging) begin
      if ({busy} && !busy_before)
        $fwrite(events, "%u%u%u%u", {{job, 8'd0, 8'd{START}}}, now, 0, 0);
      if ({write})
        $fwrite(events, "%u%u%u%u", {{job, layer, 8'd{WRITE}}}, now, address, word);
      if (first) begin
        $fwrite(events, "%u%u%u%u", {{job, layer, 8'd{FETCH}}}, now, 0, 0);
        fetched <= 1;
        fetched_layer <= layer;
        fetched_frame <= seen;
        if (seen == wanted) begin
          finished <= 1;
          logging <= 0;
          $fflush(events);
        end
      end
      if (frames != frames_before && frames != 0) begin
        $fwrite(events, "%u%u%u%u", {{job, layer, 8'd{FRAME}}}, now, {decision_word}, 0);
        seen <= seen + 1;
        if (seen + 1 < wanted) begin
{images}
        end
      end
    end
    if (load && !loaded) begin
{loads}
    end
    if (record && !recorded) begin
      $fwrite(events, "%u%u%u%u", {{job, 8'd0, 8'd{BEGIN}}}, now, 0, 0);
      seen <= 0;
      fetched <= 0;
      finished <= 0;
      logging <= 1;
    end
  end
endmodule
"""


def harness(design: Design) -> str:
    """Verilog of the harness for `design`, with the back doors of its memories."""
    capability: Capability = design.capability
    loads, images = [], []
    for number, memory in enumerate(design.memories):
        if memory.region == "activations":
            # What an earlier network left must not matter, nor the zeros of a fresh device.
            loads.append(f"for (i = 0; i < {memory.array.depth}; i = i + 1)")
            loads.append(f"  {memory.path}[i] = {{{memory.array.bits}{{1'b1}}}};")
        elif memory.region == "image":
            name = f'$sformatf("%0d.{number}.%0d.hex", job, {{}})'
            loads.append(f"$readmemh({name.format(0)}, {memory.path});")
            images.append(f"$readmemh({name.format('seen + 1')}, {memory.path});")
        else:
            loads.append(f'$readmemh($sformatf("%0d.{number}.hex", job), {memory.path});')
    signals = dict(design.signals)
    return _TEXT.format(
        top=TOP,
        bus_bits=ADDRESS_WIDTH,
        WRITE=WRITE,
        FETCH=FETCH,
        FRAME=FRAME,
        BEGIN=BEGIN,
        START=START,
        images="\n".join(f"          {line}" for line in images),
        loads="\n".join(f"      {line}" for line in loads),
        address_bits=1 + capability.bank_bits,
        word_bits=capability.word_bits,
        decision_word="{24'd0, " + signals.pop("decision") + "}",
        **signals,
    )


def control_file() -> str:
    """Verilator's control file: the signals that cocotb reaches, and no others."""
    lines = ["`verilator_config"]
    lines += [f'public_flat_rw -module "harness" -var "{name}"' for name in _PORTS]
    return "\n".join(lines) + "\n"
