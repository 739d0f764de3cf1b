"""Records survive a kill at any byte; other damage is refused, and the file stays as it is."""

import json

import pytest

from model.errors import UserError
from model.experiments.records import Records, write_text


def test_append_and_read_again(tmp_path):
    path = tmp_path / "a" / "records.jsonl"
    records = Records(path)
    assert len(records) == 0 and not path.exists()
    records.append({"key": "ℓ", "value": [1, 2]})
    records.append({"key": "b", "value": None})
    again = Records(path)
    assert again.all() == [{"key": "ℓ", "value": [1, 2]}, {"key": "b", "value": None}]
    assert "b" in again and "c" not in again
    with pytest.raises(ValueError, match="Record b exists already"):
        again.append({"key": "b"})
    with pytest.raises(ValueError, match="JSON"):
        again.append({"key": "n", "value": float("nan")})
    assert len(Records(path)) == 2


def test_a_line_cut_off_anywhere_is_dropped(tmp_path, capsys):
    path = tmp_path / "records.jsonl"
    first, second = ('{"key": "a", "x": "ℓ"}\n'.encode(), '{"key": "b", "x": "ℓ"}\n'.encode())
    for cut in range(1, len(second)):
        path.write_bytes(first + second[:cut])
        records = Records(path)
        assert [r["key"] for r in records.all()] == ["a"]
        warning = capsys.readouterr().err
        assert warning.startswith("warning: the last line of") and warning.count("\n") == 1
        records.append({"key": "b", "x": 2})
        assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == ["a", "b"]
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize("line", ["{torn", "[]", '{"no": "key"}', '{"key": 3}', "", "\x00\xff"])
def test_other_damage_is_refused(tmp_path, line):
    path = tmp_path / "records.jsonl"
    content = f'{{"key": "a"}}\n{line}\n{{"key": "b"}}\n'.encode("latin-1")
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"records.jsonl is damaged in line 2: mend or remove"):
        Records(path)
    assert path.read_bytes() == content


def test_write_text_leaves_no_half_file(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "table.md"
    write_text(path, "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new")
    assert path.read_text() == "old" and [p.name for p in path.parent.iterdir()] == ["table.md"]
