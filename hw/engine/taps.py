"""Tap generator: walks output pixels, tiles and kernel positions; emits the taps that count."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.capability import Capability
from hw.engine.layout import layer_layout, loads_layout

__all__ = ["TapGenerator", "tap_layout"]


def tap_layout(capability):
    """One tap: where its records and weights start, and what it ends.

    ``address`` is the record address of group 0; ``weights`` the weight word of group 0,
    winner 0; ``projection`` marks the shortcut's tap; ``last`` the window's last tap;
    ``last_tile`` a window that ends its pixel; ``last_window`` the layer's last one.
    """
    return data.StructLayout(
        {
            "address": capability.record_address_bits,
            "weights": capability.weight_address_bits,
            "projection": 1,
            "last": 1,
            "last_tile": 1,
            "last_window": 1,
        }
    )


class _Position:
    """The generator's registers: where it stands, and what the tap there ends."""

    def __init__(self, capability, layer):
        size = capability.size_bits
        # Counters: kernel position, tile, steps of stride that a change of window has taken.
        self.kernel_y = Signal(size)
        self.kernel_x = Signal(size)
        self.tile = Signal(len(layer.tiles))
        self.strides = Signal(len(layer.stride))
        # Input coordinates of the window and of the tap: outside the image they are padding.
        coordinate = signed(size + 2)
        self.window_y = Signal(coordinate)
        self.window_x = Signal(coordinate)
        self.tap_y = Signal(coordinate)
        self.tap_x = Signal(coordinate)
        # Record addresses of the window, of its tap, of the shortcut's tap; the weights' address.
        bits = capability.record_address_bits
        self.window = Signal(bits)
        self.tap = Signal(bits)
        self.shortcut = Signal(bits)
        # From tap to tap of a kernel, or from window to window: chosen before it is added.
        self.step = Signal(bits)
        self.weights = Signal(capability.weight_address_bits)
        # What the tap ends. Registered in LOOK, so that no decision hangs on a comparison.
        self.last_column = Signal()  # of the kernel
        self.last_row = Signal()
        self.last_tile = Signal()  # of the pixel
        self.last_x = Signal()  # of the line
        self.last_y = Signal()  # of the layer
        self.inside = Signal()  # the tap counts
        self.last_inside = Signal()  # no later one of the kernel does


class TapGenerator(wiring.Component):
    """Emits every tap inside the image, in the order of pixel, tile, kernel row, kernel column.

    A window is one output pixel and one tile of output channels. Its taps take two cycles each,
    those outside the image too (they are not emitted), then one for the projection shortcut, and
    one for the change of window: to the next tile or line, or (and stride - 1) the next pixel.
    Most of it hides behind the walker, which spends a cycle for each word of a tap, and behind the
    issuer's queue.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    layer, loads : In(layer_layout), In(loads_layout)
        The layer under way, stable from `start` until the last tap is taken; its initial fields
        are taken over when they are loaded.
    start : In(1)
        Pulse: begin a layer. The first tap is visited three cycles later.
    clear : In(1)
        Give up the layer.
    o_taps : Out(stream of tap_layout)
        Back-pressure holds the generator.
    """

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        super().__init__(
            {
                "layer": In(layer_layout(capability)),
                "loads": In(loads_layout()),
                "start": In(1),
                "clear": In(1),
                "o_taps": Out(stream.Signature(tap_layout(capability))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layer, out = self.layer, self.o_taps
        at = _Position(self._capability, layer)
        moving = Signal()
        step = self._step(m, at, moving)
        self._show(m, at)

        def leave():
            with m.If(self.clear):
                m.next = "IDLE"

        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start):
                    m.next = "BEGIN"

            with m.State("BEGIN"):
                self._begin(m, at)
                m.next = "LOOK"
                leave()

            with m.State("LOOK"):
                self._look(m, at)
                m.next = "TAP"
                leave()

            with m.State("TAP"):
                m.d.comb += out.valid.eq(at.inside)
                with m.If(out.ready | ~at.inside):
                    self._to_next_tap(m, at, step)
                    m.next = "LOOK"
                    with m.If(at.last_column & at.last_row):
                        m.d.sync += at.step.eq(
                            Mux(at.last_x, layer.line_return, layer.kernel_x_step)
                        )
                        with m.If(layer.projection):
                            m.next = "PROJECTION"
                        with m.Else():
                            m.next = "NEXT"
                    # Done with the layer: the next one's fields may come before the visits of what
                    # is left of the kernel, all of it outside, would end.
                    with m.If(at.inside & out.payload.last & out.payload.last_window):
                        m.next = "IDLE"
                leave()

            with m.State("PROJECTION"):
                m.d.comb += [
                    out.valid.eq(1),
                    out.payload.address.eq(at.shortcut),
                    out.payload.projection.eq(1),
                    out.payload.last.eq(1),
                ]
                with m.If(out.ready):
                    m.next = "NEXT"
                leave()

            with m.State("NEXT"):
                m.d.comb += moving.eq(1)
                m.d.sync += Cat(at.kernel_y, at.kernel_x).eq(0)
                with m.If(~at.last_tile):
                    self._to_next_tile(m, at)
                    m.next = "LOOK"
                with m.Else():
                    # Next line, or next pixel: one cycle a step of stride.
                    self._move(m, at, step)
                    with m.If(at.last_x | (at.strides == layer.stride)):
                        self._to_next_pixel(m, at)
                        m.next = "LOOK"
                        with m.If(at.last_x & at.last_y):
                            m.next = "IDLE"
                leave()

        self._take(m, at)
        return m

    def _step(self, m, at, moving):
        """One adder for all record addresses: to the next tap, or (moving) to the next pixel."""
        step = Signal.like(at.tap)
        m.d.comb += step.eq(Mux(moving, at.window, at.tap) + at.step)
        return step

    def _show(self, m, at):
        """The tap that is visited, at the output."""
        payload = self.o_taps.payload
        m.d.comb += [
            payload.address.eq(at.tap),
            payload.weights.eq(at.weights),
            payload.last.eq(at.last_inside & ~self.layer.projection),
            payload.last_tile.eq(at.last_tile),
            payload.last_window.eq(at.last_tile & at.last_x & at.last_y),
        ]

    def _begin(self, m, at):
        """To the layer's first tap."""
        layer = self.layer
        m.d.sync += [
            at.window_x.eq(layer.start_x),
            at.weights.eq(layer.weights),
            Cat(at.tile, at.strides, at.kernel_y, at.kernel_x).eq(0),
            at.tap.eq(at.window),
            at.tap_y.eq(at.window_y),
            at.tap_x.eq(layer.start_x),
        ]

    def _look(self, m, at):
        """What the tap ends, and whether it is in the image."""
        layer, size = self.layer, self._capability.size_bits
        column, row = at.kernel_x == layer.kernel_width, at.kernel_y == layer.kernel_height
        edge_x = at.tap_x[:size] == layer.input_width
        edge_y = at.tap_y[:size] == layer.input_height
        m.d.sync += [
            at.last_column.eq(column),
            at.last_row.eq(row),
            at.last_tile.eq(at.tile == layer.tiles),
            at.last_x.eq(at.window_x == layer.last_x),
            at.last_y.eq(at.window_y == layer.last_y),
            at.inside.eq(
                (at.tap_x[size:] == 0)
                & (at.tap_x[:size] <= layer.input_width)
                & (at.tap_y[size:] == 0)
                & (at.tap_y[:size] <= layer.input_height)
            ),
            at.last_inside.eq((column | edge_x) & (row | edge_y)),
            at.step.eq(Mux(column, layer.kernel_return, layer.kernel_x_step)),
        ]

    def _to_next_tap(self, m, at, step):
        """Along the kernel's row, or to its next one."""
        m.d.sync += [
            at.tap.eq(step),
            at.weights.eq(at.weights + self.layer.weight_step),
            at.kernel_x.eq(at.kernel_x + 1),
            at.tap_x.eq(at.tap_x + 1),
        ]
        with m.If(at.last_column):
            m.d.sync += [
                at.kernel_x.eq(0),
                at.tap_x.eq(at.window_x),
                at.kernel_y.eq(at.kernel_y + 1),
                at.tap_y.eq(at.tap_y + 1),
            ]

    def _to_next_tile(self, m, at):
        """To the same window's first tap again, with the weights of other channels."""
        m.d.sync += [
            at.tile.eq(at.tile + 1),
            at.weights.eq(at.weights + self.layer.tile_step),
            at.tap.eq(at.window),
            at.tap_y.eq(at.window_y),
            at.tap_x.eq(at.window_x),
        ]

    def _move(self, m, at, step):
        """Window and tap: a column on, or to the next line's first pixel."""
        layer = self.layer
        next_y = Mux(at.last_x, at.window_y + layer.stride + 1, at.window_y)
        next_x = Mux(at.last_x, layer.start_x, at.window_x + 1)
        m.d.sync += [
            at.window.eq(step),
            at.window_y.eq(next_y),
            at.window_x.eq(next_x),
            at.tap.eq(step),
            at.tap_y.eq(next_y),
            at.tap_x.eq(next_x),
            at.strides.eq(at.strides + 1),
        ]

    def _to_next_pixel(self, m, at):
        """What a whole step of stride changes beside window and tap."""
        layer = self.layer
        shortcut_step = Mux(at.last_x, layer.projection_return, layer.projection_x_step)
        m.d.sync += [
            at.strides.eq(0),
            at.tile.eq(0),
            at.weights.eq(layer.weights),
            at.shortcut.eq(at.shortcut + shortcut_step),
        ]

    def _take(self, m, at):
        """The initial fields, when they are loaded."""
        layer = self.layer
        with m.If(self.loads.source):
            m.d.sync += at.window.eq(layer.source)
        with m.If(self.loads.projection_source):
            m.d.sync += at.shortcut.eq(layer.projection_source)
        with m.If(self.loads.start_y):
            m.d.sync += at.window_y.eq(layer.start_y)
