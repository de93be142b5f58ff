"""Two spellings of one name are one person, everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_hook.domain.people import is_same_person, name_key, user_named

PACKAGES = Path(__file__).parents[3] / "sat_hook"


@pytest.mark.parametrize(
    "other",
    [
        "finance",
        "FINANCE",
        "ﬁnance",
        "ｆｉｎａｎｃｅ",
        " finance ",
        "finance\u00a0",
        "fi\u200bnance",
        "finance\u200f",
        "fi\u00adnance",
        "finance\ufe0f",
        "finance\U000e0101",
        "fin\u180bance",
        "\u3164finance",
        "fin\tance",
    ],
)
def test_spellings_of_one_name_are_one_person(other: str) -> None:
    """Case, width, ligatures, blanks and what cannot be seen do not make a second person."""
    assert is_same_person("finance", other)
    assert is_same_person("user:finance", f"user:{other}")


@pytest.mark.parametrize(
    ("one", "other"), [("alice", "alıce"), ("ana", "anna"), ("rené", "rene"), ("a", "а")]
)
def test_other_letters_are_other_people(one: str, other: str) -> None:
    """A letter with a mark, or of another alphabet, is another letter."""
    assert not is_same_person(one, other)


def test_decomposed_and_composed_letters_are_the_same() -> None:
    """é is one letter, however a directory stores it; ß folds to ss."""
    assert is_same_person("rene\u0301", "ren\u00e9")
    assert is_same_person("STRASSE", "straße")


@given(st.text(max_size=30))
def test_a_key_is_its_own_key(name: str) -> None:
    """Comparing twice changes nothing, and the key of a name does not depend on its case."""
    assert name_key(name_key(name)) == name_key(name)
    assert is_same_person(name, name.casefold())


def test_an_actor_is_a_user_or_a_service() -> None:
    """Only actors that Airflow authenticated have a user's name."""
    assert user_named("user:alice") == "alice"
    assert user_named("service:airflow") is None
    assert user_named("user:") is None


def test_no_other_module_compares_names() -> None:
    """A name or an actor is never folded or stripped where it is compared: that is the one function's."""
    folding = re.compile(r"(actor|approver|maker|preparer|signer|user|name_of)\w*\.(casefold|lower|strip)\(")
    assert [p.name for p in PACKAGES.rglob("*.py") if folding.search(p.read_text("utf-8"))] == []
