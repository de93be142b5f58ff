"""Parameters of a run: one that the DAG does not know stops it before anything is read or paid."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.operators.parameters import refuse_unknown_parameters

KNOWN = ("account", "batch_id", "order_limit_rupiah")


def test_a_misspelled_limit_is_refused_with_the_one_that_was_meant() -> None:
    """Airflow itself would pass over it, and the batch would be paid without the limit."""
    with pytest.raises(AirflowFailException, match="did you mean order_limit_rupiah"):
        refuse_unknown_parameters({"order_limit_rupia": 1}, KNOWN)


@pytest.mark.parametrize("conf", [None, {}, {"account": "sat_default", "batch_id": None}])
def test_known_parameters_pass(conf: dict[str, object] | None) -> None:
    """No parameter, or known ones, are fine."""
    refuse_unknown_parameters(conf, KNOWN)
