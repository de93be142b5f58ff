"""Jinja templates that lie beside the modules that render them: autoescape on, a missing name is an error."""

from __future__ import annotations

from importlib.resources import files

import jinja2

from sat_hook.domain.business_day import in_wib
from sat_hook.domain.rupiah import short_rupiah, true_minus, typeset_rupiah


def templates_of(package: str) -> jinja2.Environment:
    """The templates in the folder ``templates`` of a package.

    Filters: ``rupiah``, ``short_rupiah``, ``number`` (whole numbers), ``wib`` (moments; empty for None).
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
    environment.filters["short_rupiah"] = lambda amount: short_rupiah(int(amount))
    environment.filters["number"] = lambda amount: true_minus(f"{int(amount):,}")
    environment.filters["wib"] = in_wib
    return environment
