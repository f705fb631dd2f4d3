"""Bugs that only the simulation is asked to find: in newer code, and two that once were there."""

from tests.campaign.mutations import Mutation

MORE: list[Mutation] = []
