"""Bugs planted on purpose. The simulation must find each of them, or it proves nothing."""

from tests.simulation.planted import evidence, guards, intents, verdicts
from tests.simulation.planted.planting import BUGS, PlantedBug

__all__ = ["BUGS", "PlantedBug", "evidence", "guards", "intents", "verdicts"]
