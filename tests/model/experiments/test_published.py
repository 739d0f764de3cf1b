"""What earlier commits published is still read, and still makes the numbers of its table."""

import re
import shlex
import shutil
from collections import Counter
from pathlib import Path

import pytest

from model.experiments.__main__ import EXPERIMENTS, check_options, open_session, parse

FOLDERS = sorted((Path(__file__).parents[3] / "docs" / "results").glob("*/"))


def cells(text):
    """Cells of all tables, logs as `--publish` links them."""
    text = re.sub(r"\(log:([^)]+)\)", r"(logs/\1.jsonl)", text)
    return Counter(
        cell for line in text.splitlines() if line[:1] == "|" for cell in line.split("|")
    )


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_published(folder, tmp_path):
    """Its command is accepted and leads to its folder; a table may have more columns by now."""
    shutil.copytree(folder, tmp_path / folder.name)
    table = (folder / "table.md").read_text()
    (command,) = re.findall(r"`python -m model\.experiments ([^`]*)`", table)
    options = parse([*shlex.split(command), "--output", str(tmp_path), "--device", "cpu"])
    check_options(EXPERIMENTS[options.name], options)
    session = open_session(options, None, command)
    assert session.folder == tmp_path / folder.name and len(session.records) > 0
    assert not cells(table) - cells(EXPERIMENTS[options.name].tables(session))
