"""The host's side of the engine's memories: which region a bus word belongs to, and where in it."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.capability import SLICE_BITS, Capability, address_bits
from hw.engine.interface import HostPort
from hw.regions import Region

__all__ = ["HostAccess"]


class HostAccess(wiring.Component):
    """Turns the host's region and address into addresses and write strobes of the memories.

    Everything here is combinational. The members of the memory window are those of `HostPort`,
    with the same names and meanings.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    mem_region, mem_addr, mem_write, mem_read_data
        As in `HostPort`.
    idle : In(1)
        No frame runs. Only then are weights written.
    word_addr, word_data : Out, In
        Of a record word or a logit, and what the activation memory has there.
    weights_addr, weights_half, weights_data : Out, Out, In
        Of a weight word, the number of 32 bits in the word, and what the weight memory has there.
    parameters_addr, parameters_high : Out, Out(1)
        Of a parameter word, and the half of the word.
    write_weights, write_image, write_parameters, write_layers : Out(1)
        Write strobes.
    """

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        port = HostPort().members
        super().__init__(
            {
                **{name: port[name] for name in ("mem_region", "mem_addr", "mem_write")},
                "mem_read_data": port["mem_read_data"],
                "idle": In(1),
                "word_addr": Out(1 + capability.bank_bits),
                "word_data": In(capability.word_bits),
                "weights_addr": Out(capability.weight_address_bits),
                "weights_half": Out(address_bits(capability.bus_words_per_weight_word)),
                "weights_data": In(capability.lanes * SLICE_BITS),
                "parameters_addr": Out(address_bits(capability.parameter_words)),
                "parameters_high": Out(1),
                "write_weights": Out(1),
                "write_image": Out(1),
                "write_parameters": Out(1),
                "write_layers": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        capability = self._capability
        region, address = self.mem_region, self.mem_addr
        of_logits = Signal()
        half_bits = exact_log2(capability.bus_words_per_weight_word)
        # The logits are the last words of memory.
        logits = 1 << capability.bank_bits | capability.bank_words - capability.logit_words
        logit = address[: exact_log2(capability.logit_words)]
        m.d.comb += [
            of_logits.eq(region == Region.LOGITS),
            self.word_addr.eq(Mux(of_logits, logits | logit, address)),
            self.weights_addr.eq(address >> half_bits),
            self.weights_half.eq(address[:half_bits]),
            self.parameters_addr.eq(address[1:]),
            self.parameters_high.eq(address[0]),
            self.write_weights.eq(self.mem_write & (region == Region.WEIGHTS) & self.idle),
            self.write_image.eq(self.mem_write & (region == Region.IMAGE)),
            self.write_parameters.eq(self.mem_write & (region == Region.PARAMETERS)),
            self.write_layers.eq(self.mem_write & (region == Region.LAYERS)),
        ]

        # Reads: of the weights, of records and of logits, which have a sign.
        chosen = self.weights_data.word_select(address[:half_bits], 32)
        word = Mux(of_logits, self.word_data.as_signed(), self.word_data)
        m.d.comb += self.mem_read_data.eq(Mux(region == Region.WEIGHTS, chosen, word))
        return m
