"""Tap generator: walks output pixels, tiles and kernel positions; emits the taps that count."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.engine.layout import layer_layout, loads_layout

__all__ = ["Queue", "TapGenerator", "tap_layout"]


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


class TapGenerator(wiring.Component):
    """Emits every tap inside the image, in the order of pixel, tile, kernel row, kernel column.

    A window is one output pixel and one tile of output channels. Its taps take two cycles each,
    those outside the image too (they are not emitted), then one for the projection shortcut, and
    one for the change of window: to the next tile or line, or (and stride - 1) the next pixel.
    Most of it hides behind the walker, which spends one cycle for each group of a tap.

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

    def __init__(self, capability):
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
        capability = self._capability
        layer = self.layer
        size = capability.size_bits

        # Counters, and the input coordinates of the window and of the tap.
        kernel_y, kernel_x = Signal(size), Signal(size)
        tile = Signal(6)
        strides = Signal(4)
        window_y, window_x = Signal(signed(size + 2)), Signal(signed(size + 2))
        tap_y, tap_x = Signal(signed(size + 2)), Signal(signed(size + 2))
        # Record addresses: of the window, of its tap, of the shortcut's tap.
        bits = capability.record_address_bits
        window, tap, shortcut = (Signal(bits, name=n) for n in ("window", "tap", "shortcut"))
        weights = Signal(capability.weight_address_bits)

        # What the tap ends. Registered in LOOK, so that no decision hangs on a comparison.
        last_column, last_row = Signal(), Signal()  # of the kernel
        last_tile, last_x, last_y = Signal(), Signal(), Signal()  # of the pixel, line, layer
        inside, last_inside = Signal(), Signal()  # the tap counts; no later one of the kernel does

        # One adder for all record addresses: to the next tap, or (moving) to the next pixel.
        moving = Signal()
        step = Signal(bits)
        with m.If(moving):
            m.d.comb += step.eq(window + Mux(last_x, layer.line_return, layer.kernel_x_step))
        with m.Else():
            m.d.comb += step.eq(tap + Mux(last_column, layer.kernel_return, layer.kernel_x_step))

        next_y, next_x = Signal.like(window_y), Signal.like(window_x)
        with m.If(last_x):
            m.d.comb += [next_y.eq(window_y + layer.stride + 1), next_x.eq(layer.start_x)]
        with m.Else():
            m.d.comb += [next_y.eq(window_y), next_x.eq(window_x + 1)]

        out = self.o_taps
        m.d.comb += [
            out.payload.address.eq(tap),
            out.payload.weights.eq(weights),
            out.payload.last.eq(last_inside & ~layer.projection),
            out.payload.last_tile.eq(last_tile),
            out.payload.last_window.eq(last_tile & last_x & last_y),
        ]

        def leave():
            with m.If(self.clear):
                m.next = "IDLE"

        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start):
                    m.next = "BEGIN"

            with m.State("BEGIN"):
                m.d.sync += [
                    window_x.eq(layer.start_x),
                    weights.eq(layer.weights),
                    Cat(tile, strides, kernel_y, kernel_x).eq(0),
                    tap.eq(window),
                    tap_y.eq(window_y),
                    tap_x.eq(layer.start_x),
                ]
                m.next = "LOOK"
                leave()

            with m.State("LOOK"):
                column, row_ = kernel_x == layer.kernel_width, kernel_y == layer.kernel_height
                edge_x = tap_x[:size] == layer.input_width
                edge_y = tap_y[:size] == layer.input_height
                m.d.sync += [
                    last_column.eq(column),
                    last_row.eq(row_),
                    last_tile.eq(tile == layer.tiles),
                    last_x.eq(window_x == layer.last_x),
                    last_y.eq(window_y == layer.last_y),
                    inside.eq(
                        (tap_x[size:] == 0)
                        & (tap_x[:size] <= layer.input_width)
                        & (tap_y[size:] == 0)
                        & (tap_y[:size] <= layer.input_height)
                    ),
                    last_inside.eq((column | edge_x) & (row_ | edge_y)),
                ]
                m.next = "TAP"
                leave()

            with m.State("TAP"):
                m.d.comb += out.valid.eq(inside)
                with m.If(out.ready | ~inside):
                    m.next = "LOOK"
                    m.d.sync += [
                        tap.eq(step),
                        weights.eq(weights + layer.weight_step),
                        kernel_x.eq(kernel_x + 1),
                        tap_x.eq(tap_x + 1),
                    ]
                    with m.If(last_column):
                        m.d.sync += [
                            kernel_x.eq(0),
                            tap_x.eq(window_x),
                            kernel_y.eq(kernel_y + 1),
                            tap_y.eq(tap_y + 1),
                        ]
                        with m.If(last_row):
                            with m.If(layer.projection):
                                m.next = "PROJECTION"
                            with m.Else():
                                m.next = "NEXT"
                    # Done with the layer: the next one's fields may come before the visits of what
                    # is left of the kernel, all of it outside, would end.
                    with m.If(inside & out.payload.last & out.payload.last_window):
                        m.next = "IDLE"
                leave()

            with m.State("PROJECTION"):
                m.d.comb += [
                    out.valid.eq(1),
                    out.payload.address.eq(shortcut),
                    out.payload.projection.eq(1),
                    out.payload.last.eq(1),
                ]
                with m.If(out.ready):
                    m.next = "NEXT"
                leave()

            with m.State("NEXT"):
                m.d.comb += moving.eq(1)
                m.d.sync += Cat(kernel_y, kernel_x).eq(0)
                with m.If(~last_tile):
                    m.d.sync += [
                        tile.eq(tile + 1),
                        weights.eq(weights + layer.tile_step),
                        tap.eq(window),
                        tap_y.eq(window_y),
                        tap_x.eq(window_x),
                    ]
                    m.next = "LOOK"
                with m.Else():
                    # Next line, or next pixel: one cycle a step of stride.
                    m.d.sync += [
                        window.eq(step),
                        window_y.eq(next_y),
                        window_x.eq(next_x),
                        tap.eq(step),
                        tap_y.eq(next_y),
                        tap_x.eq(next_x),
                        strides.eq(strides + 1),
                    ]
                    with m.If(last_x | (strides == layer.stride)):
                        m.d.sync += [
                            strides.eq(0),
                            tile.eq(0),
                            weights.eq(layer.weights),
                            shortcut.eq(
                                shortcut
                                + Mux(last_x, layer.projection_return, layer.projection_x_step)
                            ),
                        ]
                        m.next = "LOOK"
                        with m.If(last_x & last_y):
                            m.next = "IDLE"
                leave()

        with m.If(self.loads.source):
            m.d.sync += window.eq(layer.source)
        with m.If(self.loads.projection_source):
            m.d.sync += shortcut.eq(layer.projection_source)
        with m.If(self.loads.start_y):
            m.d.sync += window_y.eq(layer.start_y)
        return m


class Queue(wiring.Component):
    """One-entry stream queue: takes an item whenever it is empty or is being emptied.

    An item is seen at the output in the cycle after it enters.

    Parameters
    ----------
    shape : ShapeLike
        Payload.

    Members
    -------
    i, o : stream of `shape`
    clear : In(1)
        Drop the item.
    """

    def __init__(self, shape):
        self._shape = shape
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "clear": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        some = Signal()
        item = Signal(self._shape)
        m.d.comb += [
            self.i.ready.eq(~some | self.o.ready),
            self.o.valid.eq(some),
            self.o.payload.eq(item),
        ]
        with m.If(self.i.ready):
            m.d.sync += [item.eq(self.i.payload), some.eq(self.i.valid)]
        with m.If(self.clear):
            m.d.sync += some.eq(0)
        return m
