"""Records survive a kill at any byte; other damage is refused, and the file stays as it is."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from model.common.errors import UserError
from model.common.files import locked
from model.experiments.records import Records

FACTS = {"scale": "cpu", "hardware": "a CPU", "commit": "abc1234", "seconds": 1.0}


def one(key, **more):
    return {"key": key, **FACTS, **more}


def line_of(key, **more):
    return (json.dumps(one(key, **more), ensure_ascii=False) + "\n").encode()


def keys(path):
    return [json.loads(line)["key"] for line in path.read_text().splitlines()]


def test_append_and_read_again(tmp_path):
    path = tmp_path / "a" / "records.jsonl"
    records = Records(path)
    assert len(records) == 0 and not path.parent.exists()
    assert records.append(one("ℓ", value=[1, 2]))
    assert records.append(one("b", value=None))
    again = Records(path)
    assert again.all() == [one("ℓ", value=[1, 2]), one("b", value=None)]
    assert "b" in again and "c" not in again
    assert not again.append(one("b", value=3)) and again.all()[1] == one("b", value=None)
    with pytest.raises(ValueError, match="JSON"):
        again.append(one("n", value=float("nan")))
    with pytest.raises(ValueError, match="Record m lacks its commit"):
        again.append({key: value for key, value in one("m").items() if key != "commit"})
    assert len(Records(path)) == 2


def test_a_line_cut_off_anywhere_is_dropped(tmp_path, capsys):
    path = tmp_path / "records.jsonl"
    first, second = line_of("a", x="ℓ"), line_of("b", x="ℓ")
    for cut in range(1, len(second)):
        path.write_bytes(first + second[:cut])
        records = Records(path)
        assert [r["key"] for r in records.all()] == ["a"]
        warning = capsys.readouterr().err
        assert warning.startswith("warning: the last line of") and warning.count("\n") == 1
        records.append(one("b", x=2))
        assert keys(path) == ["a", "b"]
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize("line", ["{torn", "[]", '{"no": "key"}', '{"key": 3}', "", "\x00\xff"])
def test_other_damage_is_refused(tmp_path, line):
    path = tmp_path / "records.jsonl"
    content = line_of("a") + f"{line}\n".encode("latin-1") + line_of("b")
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"records.jsonl is damaged in line 2: mend or remove"):
        Records(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("training", [False, True])
def test_a_record_without_what_every_record_has_is_refused(tmp_path, training):
    path = tmp_path / "records.jsonl"
    whole = one("b")
    if training:
        more = ("setting", "seed", "epochs", "validation", "recipe", "command", "checkpoint")
        whole |= {"training": "resnet8-w32-l2-s0"} | dict.fromkeys(more, 0)
    path.write_bytes(line_of("a") + line_of(**whole))
    assert len(Records(path)) == 2
    for name in whole.keys() - {"key", "training"}:
        less = {key: value for key, value in whole.items() if key != name}
        content = line_of("a") + (json.dumps(less) + "\n").encode()
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"damaged in line 2 \(no {name}\): mend or remove"):
            Records(path)
        assert path.read_bytes() == content
    path.write_text('{"key": "x"}\n')
    with pytest.raises(UserError, match=r"damaged in line 1 \(no scale\)"):
        Records(path)


WRITER = """
import sys
from pathlib import Path
from model.experiments.records import Records
records = Records(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
facts = {"scale": "cpu", "hardware": "a CPU", "commit": "abc1234", "seconds": 1.0}
added = [records.append({"key": k, **facts, "by": sys.argv[2]}) for k in sys.argv[3].split(",")]
print(sum(added), len(records), flush=True)
"""


def start(path, name, names):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, ",".join(names)],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_write_each_record_once_and_see_all(tmp_path):
    """Both opened the file when it was empty; half of what they write is the same."""
    path = tmp_path / "records.jsonl"
    shared = [f"shared{n}" for n in range(40)]
    own = {name: [f"{name}{n}" for n in range(20)] for name in "ab"}
    writers = [start(path, name, [*shared, *own[name]]) for name in "ab"]
    try:
        assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * 2
        for writer in writers:
            writer.stdin.write("go\n")
            writer.stdin.flush()
        said = [writer.communicate(timeout=60)[0] for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
    added, seen = zip(*(map(int, text.split()) for text in said), strict=True)
    assert sorted(keys(path)) == sorted([*shared, *own["a"], *own["b"]])
    assert sum(added) == 80 and max(seen) == 80


def test_a_line_that_another_process_is_writing_is_not_cut_off(tmp_path, capsys):
    path = tmp_path / "records.jsonl"
    path.write_bytes(line_of("a"))
    second, found = line_of("b"), []
    reader = threading.Thread(target=lambda: found.append(Records(path)))
    with locked(tmp_path / "records.jsonl.lock"), path.open("ab", buffering=0) as file:
        file.write(second[:10])
        reader.start()
        reader.join(0.3)
        assert reader.is_alive()  # it waits
        file.write(second[10:])
    reader.join(60)
    assert [r["key"] for r in found[0].all()] == ["a", "b"] and capsys.readouterr().err == ""
    assert path.read_bytes() == line_of("a") + second
