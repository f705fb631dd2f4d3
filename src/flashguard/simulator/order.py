"""What the API orders from a simulation's process: apart, because the API runs no simulation itself."""

from msgspec import Struct

from flashguard.ledger.simulations import StoredSimulation


class Order(Struct, frozen=True):
    """A simulation to run. Keys and addresses are in the process's environment."""

    simulation: StoredSimulation
    url: str
