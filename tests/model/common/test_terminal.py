"""Tables, texts and bars at any width, in a terminal and in a pipe."""

import io
import re
import time

import pytest
from rich.console import Console

from model.common import heartbeat, terminal
from model.common.terminal import Table, pairs, progress_bar, say


def screen(width, encoding="utf-8"):
    """A terminal of that many columns, and what it shows."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    to = Console(file=file, width=width, force_terminal=True, color_system=None, markup=False)
    return to, lambda: raw.getvalue().decode(encoding).splitlines()


def table():
    made = Table("Layer", "Output", "ℓ", "Mult.\ndense", title="net on a board, 16 lanes")
    made.add("stem", "32×32×16", 4, "442,368")
    made.add("stage1.block1.conv1 [a]", "16×16×32", 4, "1,179,648")
    made.add_total("total", "", "", "1,622,016")
    return made


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_table_that_fits(width):
    to, shown = screen(width)
    table().show(to)
    lines = [line.rstrip() for line in shown()]
    assert lines[0] == "net on a board, 16 lanes"
    assert all(len(line) <= width for line in lines)
    row = next(line for line in lines if "stem" in line)
    assert row.split() == ["stem", "32×32×16", "4", "442,368"]
    assert any("stage1.block1.conv1 [a]" in line for line in lines)
    ends = {len(line) for line in lines if line.endswith(("368", "648", "016", "dense"))}
    assert len(ends) == 1  # numbers are aligned right


@pytest.mark.parametrize("width", [20, 40])
def test_a_table_that_does_not_fit_is_shown_row_by_row(width):
    to, shown = screen(width)
    table().show(to)
    lines = shown()
    assert all(len(line) <= max(width, 23) for line in lines)
    text = "\n".join(lines)
    assert "stem\n  Output: 32×32×16\n  ℓ: 4\n  Mult. dense:" in text
    assert "stage1.block1.conv1" in text
    for number in ("442,368", "1,179,648", "1,622,016"):
        assert re.search(rf"(?<![\d,]){number}(?![\d,])", text), "no digit is cut off"
    assert not set("─━│┃┏") & set(text)


def test_no_digit_is_ever_wrapped():
    """The plan of the zoo's network at 40 columns: each line ends between words."""
    to, shown = screen(40)
    words = Table("Image", "Logits", left=2)
    logits = " ".join(str(-1000 * n) for n in range(40))
    words.add("a picture with a long name.png", logits)
    words.show(to)
    lines = shown()
    assert all(len(line) <= 40 for line in lines)
    assert " ".join(" ".join(lines).split()).endswith(logits)


def test_empty_cells_are_left_out_of_blocks():
    to, shown = screen(10)
    table().show(to)
    text = "\n".join(shown())
    assert text.endswith("total\n  Mult.\n    dense:\n    1,622,016")


def test_ascii_tables_are_aligned_as_they_are_shown():
    to, shown = screen(100, "ascii")
    to.file.reconfigure(errors="lookalikes")
    made = Table("σ", "±")
    made.add("ℓ → 4", "±1")
    made.add("x", "22")
    made.show(to)
    lines = shown()
    assert [line.rstrip() for line in lines if line.strip()] == [
        " sigma    +-", " ------------", " l -> 4  +-1", " x        22"
    ]  # fmt: skip


def test_wrong_rows():
    with pytest.raises(ValueError, match="^2 columns take no 3 cells$"):
        Table("a", "b").add(1, 2, 3)


@pytest.mark.parametrize("width", [30, 40, 80])
def test_pairs(width):
    to, shown = screen(width)
    pairs(to, [("Device", "5,280 logic cells, 8 DSPs, 30 EBRs, 4 SPRAMs"), ("Top-1", "[b] 91 %")])
    lines = shown()
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("Device  5,280 logic cells,")
    assert lines[-1] == "Top-1   [b] 91 %"
    assert all(line.startswith("        ") for line in lines[1:-1])


def test_a_pipe_gets_whole_lines(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    text = "word " * 100
    say(terminal.console(), text.strip())
    pairs(terminal.console(), [("name", text.strip())])
    wide = Table("a", *(f"heading {n}" for n in range(40)))
    wide.add("row", *range(40))
    wide.show(terminal.console())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == text.strip()
    assert lines[1] == f"name  {text.strip()}"
    assert any(line.split() == ["row", *map(str, range(40))] for line in lines)
    monkeypatch.setenv("COLUMNS", "40")
    say(terminal.console(), text.strip())
    assert all(len(line) <= 40 for line in capsys.readouterr().out.splitlines())


def test_markup_is_text(capsys):
    say(terminal.console(), "[bold]a[/] :smile: [/x]")
    assert capsys.readouterr().out == "[bold]a[/] :smile: [/x]\n"


def test_a_bar_in_a_pipe_says_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.2)
    with heartbeat.beating(), progress_bar() as bar:
        task = bar.add_task("features, [novel]", total=1000)
        for _ in range(8):
            time.sleep(0.1)
            bar.advance(task, 100)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 5
    for line in lines:
        assert re.fullmatch(
            r"  features, \[novel\], \d00 of 1,000(, about \d+ s left)?: \d s", line
        )


def test_what_shows_itself_is_not_told_again(monkeypatch, capsys):
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.1)
    to, shown = screen(80)
    with heartbeat.beating(), progress_bar(to=to) as bar:
        bar.add_task("features", total=10)
        time.sleep(0.4)
    assert capsys.readouterr().err == ""
    assert any("features" in line for line in shown())


@pytest.mark.parametrize("width", [40, 80, 200])
def test_bar_fits(width):
    to, shown = screen(width)
    with progress_bar(to=to) as bar:
        bar.update(bar.add_task("Classifying", total=100), completed=50)
    last = [line for line in shown() if "Classifying" in line][-1]
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", last).strip()
    assert "50/100" in last
    assert len(last) <= width
