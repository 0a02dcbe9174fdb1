"""report.save: whole files or none, and what was there before stays."""

import dataclasses
import json

import pytest

from gatedrnn import plots, report


@pytest.mark.slow
def test_save_writes_exactly_its_files(result, tmp_path):
    """Whole files under their names, none besides; a second save replaces them; strangers stay."""
    some = dataclasses.replace(result, runs=result.runs[:6], gate_maps=result.gate_maps[:1])
    names = ["comparison.json", "gates.png", "gates.svg", "report.html", "waterfall.png", "waterfall.svg"]
    out = tmp_path / "new" / "out put"
    assert report.save(some, str(out)) == [out / name for name in names]
    assert sorted(path.name for path in out.iterdir()) == names
    assert (out / "comparison.json").read_text() == some.to_json()
    (out / "mine.txt").write_text("kept")
    (out / "report.html").write_text("old")
    (out / "report.html").chmod(0o400)
    report.save(dataclasses.replace(some, gate_maps=()), out)
    assert sorted(path.name for path in out.iterdir()) == sorted([*names, "mine.txt"])
    assert (out / "mine.txt").read_text() == "kept"
    assert (out / "report.html").read_text().startswith("<!doctype html>")


def test_save_where_a_folder_has_a_file_s_name(result, tmp_path):
    """A folder called report.html: refused before any other file is replaced."""
    (tmp_path / "report.html" / "inside").mkdir(parents=True)
    (tmp_path / "comparison.json").write_text("{}")
    with pytest.raises(
        ValueError, match=r"`out` must be a folder where files can be written; got a folder in place of"
    ):
        report.save(dataclasses.replace(result, runs=result.runs[:1], gate_maps=()), tmp_path)
    assert (tmp_path / "comparison.json").read_text() == "{}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["comparison.json", "report.html"]


def test_save_with_a_command_line_that_is_no_unicode(result, tmp_path):
    """A file name of any bytes reaches the report as a surrogate; that is no reason to lose the results."""
    odd = dataclasses.replace(result, runs=result.runs[:1], gate_maps=(), command="gatedrnn --out '\udcff'")
    report.save(odd, tmp_path)
    assert "gatedrnn --out" in (tmp_path / "report.html").read_text("utf-8")
    json.loads((tmp_path / "comparison.json").read_text("utf-8"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError(28, "No space left on device")])
def test_a_failed_save_changes_nothing(result, tmp_path, monkeypatch, error):
    """Stopped between two files: no new folder, no leftover, and the earlier results stay as they were."""

    def fail_late(figure, stem):
        stem.with_suffix(".png").write_bytes(b"half")
        raise error

    monkeypatch.setattr(plots, "save", fail_late)
    old = tmp_path / "old"
    old.mkdir()
    (old / "comparison.json").write_text("{}")
    for out in (old, tmp_path / "new" / "er"):
        with pytest.raises(ValueError if isinstance(error, OSError) else error):
            report.save(result, out)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "old",
        "old/comparison.json",
    ]
    assert (old / "comparison.json").read_text() == "{}"


def test_save_where_nothing_can_be_written(result, tmp_path):
    """A file in the way, above it or as it, a name too long, a dangling link: one sentence each, before any drawing."""
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to("nowhere/at/all")
    reasons = {
        "file": "File exists",
        "file/below": "Not a directory",
        "link": "File exists",
        "n" * 300: "File name too long",
    }
    for name, reason in reasons.items():
        with pytest.raises(ValueError, match="`out` must be a folder that can be written to; got") as caught:
            report.save(result, tmp_path / name)
        assert str(caught.value).endswith(f": {reason}.")
    assert (tmp_path / "file").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]
