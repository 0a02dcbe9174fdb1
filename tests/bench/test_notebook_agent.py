"""A recurrent agent: committed with its outputs; a short run fails nowhere and finds what the lesson says."""

from pathlib import Path

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03_a_recurrent_agent.ipynb"
SMALL = {"UPDATES": 80, "DELAY": 4}
FAULTY = "`done` in the place of `reset`"


def test_every_cell_ran(either):
    either.assert_whole(pictures=0)


def test_faults_have_names(either):
    """None where there is none; each of the others another."""
    causes = {name: cause for name, cause, _ in either.table("what training is given")}
    assert causes.pop("as it should be") == "none"
    assert causes[FAULTY] == "reset late"
    assert len(set(causes.values()) - {"none"}) == len(causes) == 5


def test_only_the_agent_as_it_should_be_learns(either):
    """The others stay at chance."""
    shares = {name: [float(share) for share in row] for name, *row in either.table("right answers in")}
    chance = shares.pop("chance")[0]
    assert shares.pop("as it should be")[-1] > 0.9
    assert set(shares) == {"begins anew at every step", FAULTY}
    assert all(abs(row[-1] - chance) < 0.05 for row in shares.values())


def test_it_is_served_as_it_was_trained(either):
    """At the mean delay of the training."""
    ((_, *right),) = either.table("delay")
    assert len(right) == 5 and float(right[1]) > 0.9


def test_committed_notebook_is_clean(committed):
    assert NOTEBOOK.stat().st_size < 100_000
    committed.assert_clean()
