"""The constants of the forecast are what the record's runs are fitted by; without a record nothing is."""

import json
import sys

import pytest

from benchmarks.learning import calibrate


def test_the_fit_is_the_records():
    """From its runs alone."""
    record = json.loads(calibrate.RESULT.read_text())
    constants, _ = calibrate.fitted([run for run in record["runs"] if run["record"] in calibrate.CALIBRATED])
    assert constants | {"spread": record["constants"]["spread"]} == pytest.approx(record["constants"], rel=1e-3)
    for run in record["runs"]:
        assert calibrate.forecast_of(run, record["constants"])["forecast"] == pytest.approx(run["forecast"], rel=1e-6)


def test_without_a_record(tmp_path, monkeypatch, capsys):
    """`--measured` says what it needs, with status 2."""
    monkeypatch.setattr(calibrate, "RESULT", tmp_path / "forecast.json")
    monkeypatch.setattr(sys, "argv", ["calibrate", "--measured"])
    with pytest.raises(SystemExit) as ended:
        calibrate.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(
        f"--measured needs the runs of {tmp_path}/forecast.json, which is not there\n"
    )
