"""Loads Jinja templates next to the modules that render them. Autoescape is on; missing names raise."""

from __future__ import annotations

from importlib.resources import files

import jinja2

from sat_hook.domain.business_day import in_wib
from sat_hook.domain.rupiah import true_minus, typeset_rupiah


def templates_of(package: str) -> jinja2.Environment:
    """Load the templates from a package's folder ``templates``.

    Filters: ``rupiah``, ``number`` (whole numbers), ``wib`` (times; empty for None).
    """

    def load(name: str) -> str:
        return files(package).joinpath("templates", name).read_text("utf-8")

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(load),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["rupiah"] = lambda amount: typeset_rupiah(int(amount))
    environment.filters["number"] = lambda amount: true_minus(f"{int(amount):,}")
    environment.filters["wib"] = in_wib
    return environment
