"""The page of the layer table is that of today's fields."""

import re
from pathlib import Path

import pytest

from hw.boards import find_board
from hw.layer_entry import LayerEntry, entry_shapes
from hw.layer_table import main, to_markdown

PAGE = Path(__file__).parents[2] / "docs" / "layer-table.md"
BOARD = find_board("icebreaker")


def test_page_is_current():
    assert PAGE.read_text("utf-8") == to_markdown(BOARD), (
        "run `python -m hw.layer_table --board icebreaker --output docs/layer-table.md`"
    )


def test_every_field_has_a_row_and_no_bit_two():
    rows = re.findall(r"^\| (\d+) \| (\d+)(?::(\d+))? \| `(\w+)` \|", to_markdown(BOARD), re.M)
    assert [name for *_, name in rows] == list(LayerEntry.__dataclass_fields__)
    taken = set()
    for word, high, low, name in rows:
        bits = {(int(word), bit) for bit in range(int(low or high), int(high) + 1)}
        assert len(bits) == entry_shapes(BOARD.capability)[name].width
        assert not bits & taken and max(bit for _, bit in bits) < 16
        taken |= bits


def run(*words):
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return stopped.value.code


def test_program(tmp_path, capsys):
    assert run("--board", "icebreaker", "--output", str(tmp_path / "page.md")) == 0
    assert (tmp_path / "page.md").read_text("utf-8") == to_markdown(BOARD)
    assert run("--board", "icebreaker") == 0
    assert capsys.readouterr().out == to_markdown(BOARD)
    assert run("--board", "icebraker") == 2
    assert "did you mean icebreaker" in capsys.readouterr().err
