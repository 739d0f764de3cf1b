"""`memory` stores patterns on the CPU, whatever the device of trainings is."""

import torch
from rich.console import Console

from model.experiments.memories import MEMORY
from model.experiments.records import Records
from model.experiments.scales import SCALES
from model.experiments.session import Session, show_progress
from model.experiments.store import Store
from model.memory import experiment


def test_hardware_is_the_cpu_beside_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "a GPU")
    found = {"kind": "theory", "neurons": 66, "active": 6, "capacity": 28}
    jobs = [("theory/sparse-hetero/n66", "theory", lambda: found)]
    monkeypatch.setattr(experiment, "_jobs", lambda quick, seeds: jobs)
    gpu = torch.device("cuda")
    session = Session(
        scale=SCALES["quick"],
        label="quick",
        folder=tmp_path,
        store=Store(tmp_path / "trainings", tmp_path, device=gpu, commit="abc1234", command="x"),
        records=Records(tmp_path / "records.jsonl"),
        progress=show_progress(Console(quiet=True)),
        seeds=(0,),
        group_sizes=(),
        groups=(),
        asked=None,
        command="memory --quick",
    )
    MEMORY.run(session)
    (record,) = session.records.all()
    assert " CPU" in record["hardware"] and record["capacity"] == 28
