"""The program that prints multiplications: the paper's table, layers, a network file; bad input."""

import json

import pytest

from model import zoo
from model.measure.multiplications import (
    PRINTED,
    layer_counts,
    total,
)
from model.multiplications import main
from model.network import load
from tests.model.programs import refusal


@pytest.mark.parametrize("name, last", [("resnet18", 1240448), ("resnet50", 439025664)])
def test_paper(name, last, capsys):
    assert main(["--network", name, "--paper"]) == 0
    out = capsys.readouterr().out
    assert out.count(f" {last} ") == 2 and out.count(" equal ") >= 7
    assert "all 7 numbers equal to the paper's" in out and "NOT" not in out


def test_paper_as_json(capsys):
    assert main(["--network", "resnet18", "--paper", "--json", "--group-size", "2", "64"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["network"] == "resnet18" and facts["equal"] is True
    assert [row["papers_count"] for row in facts["rows"]] == [3125248, 1240448]
    assert facts["rows"][0]["dense"] == 555_422_720


def test_a_wrong_count_is_said(monkeypatch, capsys):
    monkeypatch.setitem(PRINTED["resnet18"], 4, 2152449)
    assert main(["--network", "resnet18", "--paper"]) == 1
    out = capsys.readouterr().out
    assert "ℓ = 4: NOT equal to the paper's: 2152448 computed, 2152449 printed" in out
    assert "all 7" not in out
    assert main(["--network", "resnet18", "--paper", "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["equal"] is False
    assert [row["equal"] for row in facts["rows"]] == [True, True, False, True, True, True, True]


def test_layers(capsys):
    assert main(["--network", "resnet8", "--group-size", "1", "4"]) == 0
    out = capsys.readouterr().out
    assert "resnet8, ℓ = 1: multiplications of one frame" in out
    assert "resnet8, ℓ = 4: multiplications of one frame" in out
    for number in ("12,501,632", "11,574,592", "3,221,824", "565,504"):
        assert number in out
    assert out.count("stage3.block1.conv2") == 2


def test_layers_as_json(capsys):
    assert main(["--network", "resnet20", "--group-size", "4", "--json", "--classes", "100"]) == 0
    facts = json.loads(capsys.readouterr().out)
    (entry,) = facts["counts"]
    assert facts["network"] == "resnet20" and entry["group_sizes"] == [4]
    assert len(entry["layers"]) == 20 and entry["layers"][-1]["dense"] == 6400
    for key, value in entry["total"].items():
        assert value == sum(layer[key] for layer in entry["layers"])
    stem, first = entry["layers"][:2]
    assert stem["dham"] == stem["dense_inside"] == first["dham"] * 3 * 4 // 16


def test_default_group_sizes(capsys):
    assert main(["--network", "dham8", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["counts"]
    expected = total(layer_counts(load(zoo.find("dham8-up5k"))))
    assert entry["group_sizes"] == [4, 4, 2, 2]
    assert {key: entry["total"][key] for key in expected} == expected


def test_file(capsys):
    path = str(zoo.find("dham8-up5k"))
    assert main(["--network", path]) == 0
    out = capsys.readouterr().out
    assert "ℓ = 4 4 4 2 2 2 2" in out and "10,093,504" in out and "3,465,536" in out
    assert "sums dense" not in out
    assert main(["--network", path, "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["counts"]
    assert entry["total"] == total(layer_counts(load(path)))


def test_bad_input(tmp_path, monkeypatch, capsys):
    def run(network, *arguments):
        return refusal(main, ["--network", network, *arguments], monkeypatch, capsys)

    text = run("resnet19")
    assert "Unknown network resnet19: did you mean resnet18?" in text
    assert "or a file FILE.dham" in text
    assert "Cannot read network file" in run(tmp_path / "none.dham")
    assert "resnet8: Group size 3 does not divide 16 channels" in run("resnet8", "--group-size", 3)
    assert "--group-size must be positive integers, not 0" in run("resnet8", "--group-size", 2, 0)
    assert "--classes must be a positive integer, not 0" in run("resnet8", "--classes", 0)
    text = run("resnet34", "--paper")
    assert "--paper: Table 1 has resnet18 and resnet50, not resnet34" in text
    text = run("resnet18", "--paper", "--group-size", 3)
    assert "Table 1 has no row for ℓ = 3; its rows are 1, 2, 4, 8, 16, 32, 64" in text
    assert "--classes: Table 1 fixes them" in run("resnet18", "--paper", "--classes", 10)
    file = zoo.find("dham8-up5k")
    assert f"--group-size: the network file {file} fixes it" in run(file, "--group-size", 2)
    assert f"--classes: the network file {file} fixes it" in run(file, "--classes", 2)
