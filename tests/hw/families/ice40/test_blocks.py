# amaranth: UnusedElaboratable=no

import pytest

from hw.families.ice40.blocks import PLLClock


def test_wrong_settings():
    with pytest.raises(TypeError, match=r"^Settings must be PLLSettings, not 36$"):
        PLLClock(settings=36, resource="clk12")
