"""The cache of compiled simulations: a model is there whole or not at all, and old ones go."""

import os

import pytest

from sim import cache


def compiled(folder, text="made"):
    """A folder as a compiler leaves it."""
    (folder / "inner").mkdir(parents=True)
    (folder / "simulator").write_text(text)
    (folder / "simulator").chmod(0o755)
    (folder / "inner" / "part.o").write_text("object")
    (folder / "link").symlink_to("simulator")
    return folder


def test_what_is_kept(tmp_path):
    """Programs and links, no object files; complete, and nothing beside it."""
    place = tmp_path / "cache" / "model"
    cache.keep(compiled(tmp_path / "work"), place)
    found = {path.relative_to(place).as_posix() for path in place.rglob("*")}
    assert found == {"simulator", "inner", "link", "complete"}
    assert os.access(place / "simulator", os.X_OK) and (place / "link").is_symlink()
    assert list(place.parent.iterdir()) == [place]


def test_incomplete_one_is_replaced(tmp_path):
    place = tmp_path / "cache" / "model"
    place.mkdir(parents=True)
    (place / "half").touch()
    cache.keep(compiled(tmp_path / "work"), place)
    assert (place / "complete").exists() and not (place / "half").exists()
    assert list(place.parent.iterdir()) == [place]


def test_complete_one_of_another_process_stays(tmp_path):
    place = tmp_path / "cache" / "model"
    cache.keep(compiled(tmp_path / "work", "first"), place)
    cache.keep(compiled(tmp_path / "again", "second"), place)
    assert (place / "simulator").read_text() == "first"
    assert list(place.parent.iterdir()) == [place]


def test_failure_leaves_nothing(tmp_path, monkeypatch):
    """A full disk in the middle of a copy, for example."""

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.shutil, "copytree", fail)
    with pytest.raises(OSError, match="No space left"):
        cache.keep(compiled(tmp_path / "work"), tmp_path / "cache" / "model")
    assert list((tmp_path / "cache").iterdir()) == []


def test_forgets_those_used_longest_ago(tmp_path):
    models = []
    for number in range(cache.KEPT + 3):
        place = tmp_path / "cache" / f"model{number}"
        cache.keep(compiled(tmp_path / f"work{number}"), place)
        os.utime(place, (number, number))
        models.append(place)
    incomplete = tmp_path / "cache" / "incomplete"  # another process is at it
    incomplete.mkdir()
    os.utime(incomplete, (0, 0))
    cache.forget(tmp_path / "cache", models[0])
    assert set((tmp_path / "cache").iterdir()) == {models[0], incomplete, *models[3:]}
