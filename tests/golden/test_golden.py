"""Today's code reads old logs as before: every golden history gives its recorded states and results."""

from __future__ import annotations

import pytest

from tests.golden.__main__ import main, stories
from tests.golden.histories import load, missing_types, names, results_of, states_of

HISTORIES = names()


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_is_as_it_was_recorded(name: str) -> None:
    """It was not edited: digests fit, versions have no gap, positions grow."""
    history = load(name)
    for recorded in history.events:
        assert recorded.computed_digest() == recorded.digest, recorded.position
    for stream, events in history.streams():
        assert [event.version for event in events] == list(range(1, len(events) + 1)), stream
    positions = [event.position for event in history.events]
    assert positions == sorted(set(positions))


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_comes_to_the_same_states(name: str) -> None:
    """Every recorded member has its recorded value; newer members may have any."""
    history = load(name)
    today = states_of(history)
    assert today.keys() == history.states.keys()
    for stream, expected in history.states.items():
        assert {member: today[stream].get(member, "is gone") for member in expected} == expected, stream


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_comes_to_the_same_results(name: str) -> None:
    """The result file of its batch, byte for byte."""
    history = load(name)
    assert results_of(history) == history.results


@pytest.mark.parametrize("name", HISTORIES)
def test_events_keep_their_shape(name: str) -> None:
    """Read and written again, an event has the same text. Another shape is another schema version."""
    for recorded in load(name).events:
        assert recorded.event.to_text() == recorded.data, (
            f"{recorded.type_name} {recorded.schema_version} is written in another shape than it was; "
            "see CONTRIBUTING.md, 'Change an event'"
        )


def test_every_event_of_the_code_is_in_a_history() -> None:
    """Each type in each schema version: a later change of an event adds a history of its own."""
    assert sorted(missing_types()) == [], "see CONTRIBUTING.md, 'Add a golden history'"


def test_every_story_was_recorded() -> None:
    """A story without its history proves nothing."""
    assert set(stories()) <= set(HISTORIES)


def test_a_history_is_never_recorded_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Existing logs do not change with the code."""
    assert main(["record", HISTORIES[0]]) == 2
    assert "never written again" in capsys.readouterr().out
    assert main(["record", "no-such-story"]) == 2
    assert main(["nonsense"]) == 2
