"""The fault file: settings of the server, and a list of rules under ``faults``. YAML or JSON.

Unknown members and impossible values are refused with their place, so that a typing error cannot silently
disable a fault.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.faults import AnyRule, Rupiah, Seconds
from sandbox.wire import JsonStyle


class FaultFileError(Exception):
    """The fault file cannot be used; the text names the place and what was expected there."""


class Fulfilment(BaseModel):
    """How long an order stays Pending: drawn between the two values by seed and request id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_seconds: Seconds = 0.5
    max_seconds: Seconds = 3.0


class Tokens(BaseModel):
    """``reissue_same`` answers a refresh with the token that is still valid (protocol section 2)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lifetime_seconds: Annotated[int, Field(ge=0, le=2_592_000)] = 3_600
    reissue_same: bool = False


class Callbacks(BaseModel):
    """How a callback without a 200 is repeated: the wait doubles each time (a guess, protocol 9)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: Annotated[int, Field(ge=1, le=100)] = 5
    backoff_seconds: Seconds = 0.5
    timeout_seconds: Annotated[float, Field(gt=0, le=120)] = 5.0


class DedupHorizon(BaseModel):
    """How long an id is remembered: seconds, and number of later orders. ``None`` means forever."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: Seconds | None = None
    orders: Annotated[int, Field(ge=0)] | None = None


class Scenario(BaseModel):
    """A complete fault file. The default is empty: no faults, plain protocol section 10."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int | None = None
    deposit_rupiah: Rupiah | None = None
    list_inactive: bool = True
    json_style: JsonStyle = JsonStyle.SPACED
    fulfilment: Fulfilment = Fulfilment()
    tokens: Tokens = Tokens()
    callbacks: Callbacks = Callbacks()
    dedup_horizon: DedupHorizon = DedupHorizon()
    faults: tuple[AnyRule, ...] = ()


def read_scenario(path: Path) -> Scenario:
    """Read a fault file.

    :raises FaultFileError: naming the file and the place.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FaultFileError(f"{path} cannot be read: {error}") from error
    try:
        return parse_scenario(text)
    except FaultFileError as error:
        raise FaultFileError(f"{path}: {error}") from error


def parse_scenario(text: str) -> Scenario:
    """Parse YAML (JSON is YAML too).

    :raises FaultFileError: naming the place.
    """
    try:
        content: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise FaultFileError(f"not YAML: {error}") from error
    return scenario_of({} if content is None else content)


def scenario_of(content: object) -> Scenario:
    """Check a scenario given as plain data.

    :raises FaultFileError: naming the place.
    """
    try:
        return Scenario.model_validate(content)
    except ValidationError as error:
        places = [
            f"{'.'.join(str(part) for part in problem['loc']) or 'file'}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        ]
        raise FaultFileError("; ".join(places)) from error
