"""What Airflow's provider manager has to know: the connection type ``sat`` and its form."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata; the form is declarative, so nothing of a web framework is imported."""
    return {
        "package-name": "sat-bulk-orders",
        "name": "Tokopedia SAT bulk orders",
        "description": "Bulk orders against the Tokopedia SAT distributor API.",
        "integrations": [
            {
                "integration-name": "Tokopedia SAT",
                "external-doc-url": "https://developer.tokopedia.com/openapi/b2b/",
                "tags": ["service"],
            }
        ],
        "hooks": [{"integration-name": "Tokopedia SAT", "python-modules": ["sat_hook.hooks.sat"]}],
        # What other people's DAGs are meant to use; the steps of the batch are wired in its own DAG.
        "operators": _modules(
            "sat_hook.operators.inquiry", "sat_hook.operators.order", "sat_hook.operators.status"
        ),
        "sensors": _modules("sat_hook.sensors.batch", "sat_hook.sensors.funds", "sat_hook.sensors.order"),
        "triggers": _modules("sat_hook.triggers.batch", "sat_hook.triggers.funds", "sat_hook.triggers.order"),
        "extra-links": ["sat_hook.operators.links.BatchProgressLink"],
        "connection-types": [
            {
                "connection-type": "sat",
                "hook-class-name": "sat_hook.hooks.sat.SATHook",
                "hook-name": "Tokopedia SAT",
                "ui-field-behaviour": {
                    # The port is of no use to us. But up to Airflow 3.3.2 the page's Test button is answered
                    # "Bad Request" for every saved connection that has none (apache/airflow#73298).
                    "hidden-fields": ["host", "schema", "extra"],
                    "relabeling": {
                        "login": "Client ID",
                        "password": "Client secret",
                        "port": "Port (0: lets Test work)",
                    },
                    "placeholders": {"login": "from SAT's console", "port": "0"},
                },
                "conn-fields": _CONNECTION_FIELDS,
            }
        ],
    }


def _modules(*names: str) -> list[dict[str, Any]]:
    return [{"integration-name": "Tokopedia SAT", "python-modules": list(names)}]


def _text(label: str, description: str, **schema: Any) -> dict[str, Any]:
    return {
        "label": label,
        "description": description,
        "schema": {"type": ["string", "null"], **schema},
    }


def _number(label: str, description: str, kind: str = "number", **schema: Any) -> dict[str, Any]:
    return {
        "label": label,
        "description": description,
        "schema": {"type": [kind, "null"], **schema},
    }


def _limit(label: str, description: str) -> dict[str, Any]:
    return _number(label, description, "integer", minimum=0)


_CONNECTION_FIELDS: dict[str, dict[str, Any]] = {
    "environment": {
        "label": "Environment",
        "description": "playground and production know their addresses; custom needs both URLs below.",
        "schema": {
            "type": "string",
            "enum": ["playground", "production", "custom"],
            "default": "playground",
        },
    },
    "base_url": _text("Base URL", "Ends in /api. Only for a custom environment or a gateway."),
    "token_url": _text(
        "Token URL", "Only for a custom environment or a gateway. Airflow shows it as *** once it is saved."
    ),
    "account": _text("Account", "Name of the account in the order log. Default: the connection id."),
    "private_key": _text(
        "Private key", "Your RSA key as PEM; it signs checkouts. Or give its path below.", format="password"
    ),
    "private_key_path": _text(
        "Private key file", "A file that every worker can read. Airflow shows it as *** once it is saved."
    ),
    "sat_public_keys": _text(
        "SAT public keys",
        "SAT's own keys as PEM, one below the other while keys are rotated. Not your public key.",
        format="multiline",
    ),
    "sat_public_key_paths": _text("SAT public key files", "Several paths are separated by commas."),
    "padding": {
        "label": "Signature padding",
        "description": "As agreed with SAT at onboarding.",
        "schema": {"type": "string", "enum": ["pss", "pkcs1v15"], "default": "pss"},
    },
    "connect_timeout_seconds": _number("Connect timeout (seconds)", "Default 5."),
    "read_timeout_seconds": _number("Read timeout (seconds)", "Between two pieces of an answer. Default 20."),
    "total_timeout_seconds": _number("Total timeout (seconds)", "For a whole exchange. Default 30."),
    "requests_per_second": _number(
        "Requests per second", "Of the account, over all its workers. Empty: no limit."
    ),
    "max_in_flight": _number(
        "Requests in flight",
        "At the same time, over all workers of the account. Empty: 64 for each worker.",
        "integer",
        minimum=1,
    ),
    "duplicate_days": _limit(
        "Days in which the same business is held",
        "Same product, client number and amount. A run can ask for more.",
    ),
    "order_limit_rupiah": _limit("Limit per order (rupiah)", "Dearer orders are held. Empty: no limit."),
    "batch_limit_rupiah": _limit("Limit per batch (rupiah)", "What does not fit is held. Empty: no limit."),
    "batch_limit_orders": _limit("Limit per batch (orders)", "What does not fit is held. Empty: no limit."),
    "day_limit_rupiah": _limit("Limit per day (rupiah)", "Jakarta's day, all batches. Empty: no limit."),
    "day_limit_orders": _limit("Limit per day (orders)", "Jakarta's day, all batches. Empty: no limit."),
    "approval_over_rupiah": _limit(
        "Approval over (rupiah)", "A dearer batch needs a second person's approval. 0: always. Empty: never."
    ),
    "second_approval_over_rupiah": _limit(
        "Approval of two over (rupiah)", "A dearer batch needs two people besides its maker. Empty: never."
    ),
    "third_approval_over_rupiah": _limit(
        "Approval of three over (rupiah)",
        "A dearer batch needs three people besides its maker. Empty: never.",
    ),
    "trust_callbacks": {
        "label": "Trust signed callbacks",
        "description": "A signed callback ends an order without asking SAT for its status.",
        "schema": {"type": "boolean", "default": False},
    },
}
