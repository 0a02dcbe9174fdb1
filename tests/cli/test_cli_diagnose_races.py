"""`gatedrnn diagnose` on the entrants of a race, each by its own folder."""

import itertools
import re
import shutil
from dataclasses import replace

from gatedrnn.cli._entrants import Begun, entrant_at, place_of
from gatedrnn.cli._settings import Settings


def test_entrants_of_a_race(copy, tmp_path, succeeds, check_refused):
    """While it runs, by their own folders; a race that has ended has no weights."""
    settings = replace(Settings.load(copy), cell="lstm")
    race = tmp_path / "race"
    Begun(settings, ["gru", "rnn"]).save(race)
    entrant = race / "entrants" / "2-rnn-default"
    for name in ("0-gru-default", "1-gru-chrono"):
        (race / "entrants" / name).mkdir()
    shutil.move(copy, entrant)
    (entrant / "run.json").unlink()
    printed = succeeds("diagnose", entrant).stdout
    assert printed.startswith("adding, 8 steps: rnn, default init, 3 units; seed ")
    assert re.search(
        rf"^  gatedrnn train adding --cell rnn .*--out {re.escape(str(race))}-rnn-steps$", printed, re.MULTILINE
    )
    check_refused(
        ("diagnose", race), f"must be one of a race's entrants, such as '{race}/entrants/0-gru-default'; got the race"
    )
    entrant.rename(race / "entrants" / "2-lem-default")
    check_refused(("diagnose", race / "entrants/2-lem-default"), "must be that of an entrant of gru, rnn; got")
    shutil.rmtree(race / "entrants")
    (race / "race.json").write_text("{}")
    check_refused(("diagnose", race), "that of a race that has ended")


def test_entrants_whose_cells_look_alike(tmp_path):
    """Told apart by their number, each cell having one initialisation or two."""
    alike = [f"a_module_of_cells_with_a_name_so_long_that_it_is_cut:{name}" for name in "abc"]
    for counts in itertools.product((1, 2), repeat=3):
        begun = Begun(Settings(task="adding"), alike)
        inits = [("default", "chrono")[:count] for count in counts]
        made = [(cell, init) for cell, each in zip(alike, inits, strict=True) for init in each]
        race = tmp_path / "".join(map(str, counts))
        for number, (cell, init) in enumerate(made):
            settings = replace(begun.settings, cell=cell, init=init)
            place = place_of(race, number, settings)
            place.mkdir(parents=True)
            assert entrant_at(place, begun) == settings
        for name in (f"{len(made)}{place.name[1:]}", "x", "-", place.name[1:]):
            assert entrant_at(place.with_name(name), begun) is None
