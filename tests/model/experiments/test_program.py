"""The program: options, one clear line for whatever is wrong, and a kill at any time."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from model.common.errors import UserError
from model.experiments.__main__ import (
    EXPERIMENTS,
    OPTIONS,
    command_line,
    main,
    parse,
    scale_of,
)
from model.experiments.scales import SCALES
from model.training import checkpoint
from model.training.trainer import Trainer

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "experiments.md").read_text()


def run(*arguments, data, output):
    return main([*arguments, "--data", str(data), "--output", str(output), "--device", "cpu"])


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["table9"], r"Unknown experiment table9: did you mean table\d\?"),
        (["table1", "--network", "resnet9"], "Unknown network resnet9: did you mean resnet8"),
        (["table1", "--recipe", "papers"], "Unknown recipe papers: did you mean paper"),
        (["table1", "--group-sizes", "1,3"], "--group-sizes: Group size 3 does not divide 32"),
        (["table2", "--groups", "64"], "--groups: Number of groups 64 does not divide 32"),
        (["table1", "--group-sizes", "0,1"], "--group-sizes: must be 1 or more, not 0"),
        (["table1", "--seeds", "-1"], "--seeds: must be 0 or more, not -1"),
        (["table1", "--seeds", "one"], "--seeds: 'one' is not a list of integers such as 1,2"),
        (["table1", "--seeds", "9" * 26], "--seeds: must be 2147483647 or less, not 9{26}$"),
        (["table1", "--seeds", "0,2147483648"], "--seeds: must be 2147483647 or less, not 214"),
        (["table2", "--group-sizes", "2"], "table2 does not take --group-sizes; it takes --groups"),
        (["table1", "--groups", "2"], "table1 does not take --groups; it takes --group-sizes, --s"),
        (["table1", "--widths", "8"], "table1 does not take --widths; it takes --group-sizes, --s"),
        (["table4", "--data-set", "cifar100"], "table4 does not take --data-set; it takes --grou"),
        (["pareto", "--width", "8"], "pareto does not take --width; it takes .*--widths"),
        (["memory", "--group-sizes", "2"], "memory does not take --group-sizes; it takes --seeds$"),
        (["memory", "--width", "0"], "memory does not take --width; it takes --seeds$"),
        (["memory", "--binary", "--report"], "memory does not take --binary; it takes --seeds$"),
        (["memory", "--no-training"], "memory does not take --no-training; it takes --seeds$"),
        (["per-layer", "--dense-sums"], "per-layer does not take --dense-sums; it takes --group"),
        (["table3", "--group-sizes", "1,2"], "table3 has no ℓ = 1: at every temperature .* ReLU"),
        (["figures", "--group-sizes", "1"], "figures has no ℓ = 1: a group of one map has nothing"),
        (["table1", "--group-size", "2"], "unrecognized arguments: --group-size 2"),
        (["pareto", "--quick", "--widths", "3", "--group-sizes", "2"], "--group-sizes: Group si"),
        (["pareto", "--widths", "8,3", "--group-sizes", "2"], "--widths: Group size 2 does not d"),
        (["table3", "--width", "3"], "Nothing to run: table3 has no network of these options"),
        (["table1", "--no-training"], r"Nothing to measure: no complete training in .*out/train"),
        (["per-layer", "--no-training"], "Nothing to measure: no complete training in"),
        (["table1", "--width", "0"], "Width must be a positive integer, not 0"),
        (["table1", "--epochs", "0"], "Epochs must be a positive integer, not 0"),
        (["table1", "--learning-rate", "0"], "Learning rate must be positive, not 0"),
        (["table1", "--quick", "--full"], "not allowed with argument --quick"),
        (["table1", "--speed"], r"unrecognized arguments: --speed \(see python -m"),
        (["table1"], "Data folder .*none does not exist: get https"),
        (["table4"], "Data folder .*none does not exist: get https"),
        (["table1", "--report"], "No records in .*table1-cpu/records.jsonl: run it without --rep"),
    ],
)  # fmt: skip
def test_wrong_input(tmp_path, arguments, text):
    with pytest.raises(UserError, match=text) as found:
        run(*arguments, data=tmp_path / "none", output=tmp_path / "out")
    assert found.value.status == 2
    assert not (tmp_path / "out").exists()


def test_the_page_says_which_experiment_takes_what():
    lines = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("|")]
    rows = [[cell.strip(" `") for cell in line] for line in lines]
    (head,) = [number for number, row in enumerate(rows) if "--group-sizes" in row]
    options = rows[head][1:]
    said = {row[0]: row[1:] for row in rows[head + 2 : head + 2 + len(EXPERIMENTS)]}
    assert list(said) == list(EXPERIMENTS) and rows[head + 1][0] == "---"
    for name, cells in said.items():
        takes = {option for option, cell in zip(options, cells, strict=True) if cell}
        assert takes == set(options) & set(EXPERIMENTS[name].takes), name
    # Those of no column: the page says that all that train take them.
    rest = set(OPTIONS) - set(options)
    assert rest and all(f"`{option}`" in PAGE for option in rest)
    assert all(rest <= set(EXPERIMENTS[name].takes) for name in said if name != "memory")
    assert EXPERIMENTS["memory"].takes == ("--seeds",)


def test_every_option_that_changes_what_is_run_belongs_to_an_experiment():
    everywhere = {"name", "quick", "full", "data", "output", "device", "commit", "report"}
    known = {option[2:].replace("-", "_") for option in OPTIONS}
    assert known.isdisjoint(everywhere)
    assert set(vars(parse(["table1"]))) == known | everywhere | {"publish"}


def test_error_alone_and_nothing_made_where_data_is_missing(tmp_path):
    """No line of progress stands before it."""
    found = program("table1", "--data", tmp_path / "none", "--output", tmp_path / "out")
    assert found.returncode == 2 and found.stdout == ""
    assert found.stderr.startswith("error: Data folder ") and found.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="No CUDA device is available"):
        main(["table1", "--device", "cuda", "--output", str(tmp_path)])


def program(*arguments):
    """The program as a process of its own, as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "model.experiments", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_line_and_status_2():
    found = program("tabel1")
    assert found.returncode == 2 and found.stdout == ""
    assert found.stderr.startswith("error: Unknown experiment tabel1: did you mean table1?")
    assert len(found.stderr.splitlines()) == 1


def test_help_lists_the_experiments(capsys):
    with pytest.raises(SystemExit) as found:
        main(["--help"])
    assert found.value.code == 0
    text = capsys.readouterr().out
    assert all(f"  {name}" in text and e.summary in text for name, e in EXPERIMENTS.items())


@pytest.mark.parametrize(
    "arguments, label, title",
    [
        ([], "cpu", "ResNet-8, width 32, CIFAR-10, recipe float, 10 epochs"),
        (["--epochs", "10", "--width", "32"], "cpu", None),
        (["--epochs", "1"], "cpu-e1", "ResNet-8, width 32, CIFAR-10, recipe float, 1 epoch"),
        (
            ["--network", "resnet20", "--width", "16", "--epochs", "30"],
            "cpu-resnet20-e30",
            "ResNet-20, width 16, CIFAR-10, recipe float, 30 epochs",
        ),
        (
            ["--network", "resnet20", "--width", "24"],
            "cpu-resnet20-w24",
            "ResNet-20, width 24, CIFAR-10, recipe float, 10 epochs",
        ),
        (
            ["--full", "--network", "resnet18"],
            "full-resnet18",
            "ResNet-18, width 64, CIFAR-10, recipe paper, 300 epochs",
        ),
        (
            ["--full", "--network", "resnet18", "--recipe", "float", "--learning-rate", "0.03"],
            "full-resnet18-float-lr0.03",
            "ResNet-18, width 64, CIFAR-10, recipe float, 10 epochs, learning rate 0.03",
        ),
        (
            ["--dense-sums", "--data-set", "cifar100", "--batch", "256"],
            "cpu-cifar100-b256-dense-sums",
            "ResNet-8, width 32, CIFAR-100, recipe float, 10 epochs, dense after additions",
        ),
        (
            ["--binary", "--epochs", "20"],
            "cpu-e20-binary",
            "ResNet-8, width 32, CIFAR-10, recipe float, 20 epochs, winners binary",
        ),
        (
            ["--dense-sums", "--binary"],
            "cpu-dense-sums-binary",
            "ResNet-8, width 32, CIFAR-10, recipe float, 10 epochs, dense after additions, "
            "winners binary",
        ),
    ],
)
def test_labels_tell_settings_apart(arguments, label, title):
    scale, found = scale_of(parse(["table1", *arguments]))
    assert found == label
    if title is not None:
        assert [setting.title for setting in scale.settings] == [title]


def test_command_line_without_folders():
    given = ["table1", "--data", "/a", "--quick", "--output=/b", "--seeds", "0,1", "--report"]
    assert command_line(given) == "table1 --quick --seeds 0,1"
    assert command_line(["table1", "--no-training", "--seeds", "0"]) == "table1 --seeds 0"


def test_largest_seed_and_widths_that_go_with_a_size():
    assert parse(["table1", "--seeds", "2147483647"]).seeds == (2**31 - 1,)
    # 3 does not divide the scale's width, 32, but all of these
    scale, _ = scale_of(parse(["pareto", "--widths", "24,48", "--group-sizes", "3"]))
    assert scale.widths == (24, 48)


def test_seeds_and_sizes_are_added_to_what_there_is(data, tmp_path, capsys):
    for seeds, count in (("0", 1), ("0,1", 2)):
        more = ("--seeds", seeds, "--group-sizes", "2")
        assert run("table1", "--quick", *more, data=data, output=tmp_path) == 0
        lines = (tmp_path / "table1-quick" / "records.jsonl").read_text().splitlines()
        assert len(lines) == count
    assert "(n = 2)" in (tmp_path / "table1-quick" / "table.md").read_text()


def test_damaged_records_are_left_alone(data, tmp_path):
    path = tmp_path / "table1-quick" / "records.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{torn\n{"key": "b"}\n')
    with pytest.raises(UserError, match="damaged in line 1"):
        run("table1", "--quick", data=data, output=tmp_path)
    assert path.read_text() == '{torn\n{"key": "b"}\n'
    assert not (tmp_path / "trainings").exists()


def never(*_, **__):
    raise AssertionError("trained")


def copy_of(folder, target, truncated):
    """A copy in which the last byte of one file is missing."""
    target.mkdir(parents=True)
    for path in folder.iterdir():
        cut = -1 if path.name == truncated else None
        (target / path.name).write_bytes(path.read_bytes()[:cut])
    return target


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name != "memory"])
def test_wrong_data_ends_it_before_anything_is_made(name, data, tmp_path, monkeypatch):
    """Test images too, and those of every setting, before hours of training."""
    monkeypatch.setattr(Trainer, "train_epoch", never)
    folder = "cifar-100-binary" if name == "table4" else "cifar-10-batches-bin"
    files = (
        ("train.bin", "test.bin") if name == "table4" else ("data_batch_3.bin", "test_batch.bin")
    )
    for file in files:
        wrong = copy_of(data / folder, tmp_path / file, file)
        with pytest.raises(UserError, match=f"{file} is truncated") as found:
            run(name, "--quick", data=wrong, output=tmp_path / "out")
        assert found.value.status == 2 and not (tmp_path / "out").exists()
    other = data / ("cifar-10-batches-bin" if name == "table4" else "cifar-100-binary")
    with pytest.raises(UserError, match="holds CIFAR-10, not CIFAR-100|holds CIFAR-100, not CIFAR"):
        run(name, "--quick", data=other, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_second_data_set_is_missing(data, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "train_epoch", never)
    only10 = tmp_path / "data" / "cifar-10-batches-bin"
    copy_of(data / "cifar-10-batches-bin", only10, None)
    with pytest.raises(UserError, match="holds CIFAR-10, not CIFAR-100"):
        run("table1", "--full", data=tmp_path / "data", output=tmp_path / "out")
    copy_of(data / "cifar-100-binary", tmp_path / "data" / "cifar-100-binary", "test.bin")
    with pytest.raises(UserError, match=r"CIFAR-100 file .*test.bin is truncated"):
        run("table1", "--full", data=tmp_path / "data", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_data_is_needed_only_for_what_is_still_to_be_done(data, tmp_path, monkeypatch):
    asked = ("--quick", "--seeds", "0", "--group-sizes", "1")
    assert run("table1", *asked, data=data, output=tmp_path) == 0
    for more in ((), ("--no-training",), ("--report",)):
        assert run("table1", *asked, *more, data=tmp_path / "none", output=tmp_path) == 0
    with pytest.raises(UserError, match="Data folder .*none does not exist"):  # to measure
        run("table5", *asked, "--no-training", data=tmp_path / "none", output=tmp_path)
    assert not (tmp_path / "table5-quick").exists()


def test_binary_winners_beside_a_baseline_that_keeps_its_values(data, tmp_path, capsys):
    assert run("table1", "--quick", "--seeds", "0", data=data, output=tmp_path) == 0
    plain = {path.name for path in (tmp_path / "trainings").glob("*.pt")}
    asked = ("--quick", "--seeds", "0", "--binary")
    for name in ("table1", "distillation", "figures"):
        assert run(name, *asked, data=data, output=tmp_path) == 0
    records = [
        json.loads(line)
        for line in (tmp_path / "table1-quick-binary" / "records.jsonl").read_text().splitlines()
    ]
    trained = {record["group_size"]: record["training"] for record in records}
    assert f"{trained[1]}.pt" in plain and trained[2] == "resnet8-w8-l2-binary-e1-b32-n96-s0"
    assert {record["setting"][-13:] for record in records} == {"-binary-after"}
    state = checkpoint.read(tmp_path / "trainings" / f"{trained[2]}.pt")
    assert state["configuration"]["shape"]["binary"] is True
    found = {path.name for path in (tmp_path / "trainings").glob("*.pt")} - plain
    names = ("l2-binary-e1-b32", "l1-e1-b32-from-l1", "l2-binary-e1-b32-from-l1")
    assert found == {f"resnet8-w8-{name}-n96-s0.pt" for name in names}
    text = (tmp_path / "table1-quick-binary" / "table.md").read_text()
    assert ", winners binary\n" in text and "table1 --quick --seeds 0 --binary`" in text


def test_a_search_trains_as_it_was_asked_to(data, tmp_path, monkeypatch):
    seen = []

    def stop(self, advance=None):
        seen.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "train_epoch", stop)
    for more, expected in (((), False), (("--binary", "--compile"), True)):
        with pytest.raises(UserError, match="Interrupted in a search"):
            run("per-layer", "--quick", *more, data=data, output=tmp_path)
        trainer = seen.pop()
        assert trainer.network.mode.compiled is expected and trainer.shape.binary is expected
        assert (trainer.shape.order, len(trainer.labels)) == ("after", 96)
    assert len(list(tmp_path.glob("per-layer-quick*/*.sqlite"))) == 2


def test_interrupted_run_leaves_its_report(data, tmp_path, monkeypatch):
    train_epoch, calls = Trainer.train_epoch, []

    def third(self, advance=lambda loss: None):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train_epoch(self, advance)

    monkeypatch.setattr(Trainer, "train_epoch", third)
    with pytest.raises(UserError, match="Interrupted in epoch 1 of .*-l1-.*-s1") as found:
        run("table1", "--quick", data=data, output=tmp_path)
    assert found.value.status == 130
    folder = tmp_path / "table1-quick"
    assert len((folder / "records.jsonl").read_text().splitlines()) == 2
    assert "(n = 1)" in (folder / "table.md").read_text()
    assert run("table1", "--quick", data=data, output=tmp_path) == 0
    assert len(calls) == 5  # two, the interrupted one, and the two that were left


def test_no_training_measures_what_is_complete(data, tmp_path, capsys):
    assert run("table1", "--quick", "--seeds", "0", data=data, output=tmp_path) == 0
    with pytest.raises(UserError, match="Nothing to measure"):  # no search
        run("per-layer", "--quick", "--no-training", data=data, output=tmp_path)
    assert not (tmp_path / "per-layer-quick").exists()
    for name in ("table5", "pareto", "distillation"):
        assert run(name, "--quick", "--no-training", data=data, output=tmp_path) == 0
    assert len(list((tmp_path / "trainings").glob("*.pt"))) == 2
    text = (tmp_path / "table5-quick" / "table.md").read_text()
    assert text.count("(n = 1)") == 8 and "(n = 2)" not in text
    assert "--no-training" not in text
    text = (tmp_path / "pareto-quick" / "table.md").read_text()
    assert text.count("(n = 1)") == 2 and text.count("| not run |") == 6


def test_damaged_checkpoint_says_what_to_do(data, tmp_path):
    asked = ("table1", "--quick", "--seeds", "0", "--group-sizes", "1")
    assert run(*asked, data=data, output=tmp_path) == 0
    (checkpoint,) = (tmp_path / "trainings").glob("*.pt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    text = rf"{checkpoint} is no .* damaged: \w+: remove it, its training begins anew$"
    for more in ((), ("--no-training",)):
        with pytest.raises(UserError, match=text):
            run("table5", *asked[1:], *more, data=data, output=tmp_path)
    checkpoint.unlink()
    assert run("table5", *asked[1:], data=data, output=tmp_path) == 0


KILLED = """
import sys
from dataclasses import replace
from model.data import cifar
from model.experiments.__main__ import main
from model.experiments.scales import SCALES
from tests.model.experiments.conftest import RECORDS, small_scale
cifar.RECORDS = RECORDS
scale = small_scale()
SCALES["quick"] = replace(scale, settings=(replace(scale.settings[0], epochs=3),))
sys.exit(main(sys.argv[1:]))
"""


def start(data, output, seed="0"):
    arguments = ["table1", "--quick", "--seeds", seed, "--commit", "abc", "--device", "cpu"]
    arguments += ["--data", str(data), "--output", str(output)]
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_killed_at_once_goes_on_and_ends_the_same(data, tmp_path, monkeypatch):
    """SIGKILL in the second training: what is recorded stays, the rest is as if never killed."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(data, killed)
    watched = killed / "trainings" / "resnet8-w8-l2-e3-b32-n96-s0.jsonl"
    deadline = time.monotonic() + 300
    while not watched.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert watched.exists() and process.returncode == -signal.SIGKILL
    records = killed / "table1-quick" / "records.jsonl"
    kept = records.read_text()
    assert len(kept.splitlines()) == 1 and len(watched.read_text().splitlines()) < 4
    again = start(data, killed)
    _, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors
    assert records.read_text().startswith(kept)
    scale = SCALES["quick"]
    longer = replace(scale, settings=(replace(scale.settings[0], epochs=3),))
    monkeypatch.setitem(SCALES, "quick", longer)
    more = ("--quick", "--seeds", "0", "--commit", "abc")
    assert run("table1", *more, data=data, output=whole) == 0

    def results(folder):
        lines = (folder / "table1-quick" / "records.jsonl").read_text().splitlines()
        drop = {"seconds", "train_seconds", "checkpoint", "hardware", "command"}
        return [{k: v for k, v in json.loads(line).items() if k not in drop} for line in lines]

    assert results(killed) == results(whole) and len(results(whole)) == 2


def test_two_processes_make_one_report(data, tmp_path, monkeypatch, capsys):
    """Another process records its seed while this one trains: the table has both, each once."""
    train_epoch, others = Trainer.train_epoch, []

    def during(self, advance=lambda loss: None):
        if not others:
            others.append(start(data, tmp_path, "0,1"))
            _, errors = others[0].communicate(timeout=300)
            assert others[0].returncode == 0, errors
        return train_epoch(self, advance)

    scale = SCALES["quick"]
    longer = replace(scale, settings=(replace(scale.settings[0], epochs=3),))
    monkeypatch.setitem(SCALES, "quick", longer)
    monkeypatch.setattr(Trainer, "train_epoch", during)
    seeds = ("--quick", "--commit", "abc", "--seeds", "2,0")
    assert run("table1", *seeds, data=data, output=tmp_path) == 0
    folder = tmp_path / "table1-quick"
    lines = (folder / "records.jsonl").read_text().splitlines()
    keys = [json.loads(line)["key"] for line in lines]
    assert len(set(keys)) == len(keys) == 6
    assert (folder / "table.md").read_text().count(
        "(n = 3)"
    ) == 4  # two accuracies, two differences
    assert capsys.readouterr().out.startswith("6 records;")
