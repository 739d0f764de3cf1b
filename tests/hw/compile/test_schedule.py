"""The order of loops against the walk over a layer that the engine's tests have of their own."""

from hw.compile.schedule import output_pixels, tile_drains
from tests.hw.engine.helpers import plans, record_address, walk


def test_taps_are_those_of_the_walk():
    for plan in plans(25, 4000):
        for index, (layer, planned) in enumerate(
            zip(plan.network.layers, plan.layers, strict=True)
        ):
            entry = planned.entry
            expected = [(tap.address, tap.projection, tap.last) for tap in walk(plan, index)]
            found = []
            for pixel in output_pixels(entry):
                for _ in tile_drains(entry):
                    for tap in pixel.taps:
                        if tap.source is None:
                            projection = layer.projection
                            source = projection.source
                            place = (
                                pixel.line * projection.stride,
                                pixel.column * projection.stride,
                            )
                        else:
                            source, place = layer.source, tap.source
                        address = record_address(plan, source, *place)
                        last = tap is pixel.taps[-1]
                        found.append((address, int(tap.source is None), int(last)))
            assert found == expected, f"{plan.network.name}, layer {index}"


def test_lines_and_columns_count_up():
    for plan in plans(10, 4100):
        for planned in plan.layers:
            pixels = list(output_pixels(planned.entry))
            columns = sum(pixel.line == 0 for pixel in pixels)
            places = [(pixel.line, pixel.column) for pixel in pixels]
            assert places == [divmod(number, columns) for number in range(len(pixels))]
            assert [p.last_column for p in pixels] == [p.column == columns - 1 for p in pixels]
            if planned.kind == "conv":
                height, width, _ = planned.output_shape
                assert (len(pixels), columns) == (height * width, width)


def test_positions_count_the_taps_outside():
    """A kernel of three by three at the image's corner: its four taps inside, in their order."""
    for plan in plans(60, 4200):
        for planned in plan.layers:
            entry = planned.entry
            if (entry.start_y, entry.start_x, entry.kernel_height, entry.kernel_width) == (
                -1, -1, 3, 3
            ) and min(entry.input_height, entry.input_width) > 1:  # fmt: skip
                corner = next(output_pixels(entry)).taps
                positions = [tap.position for tap in corner]
                assert positions == [4, 5, 7, 8] + [9] * entry.projection
                return
    raise AssertionError("no such layer")
