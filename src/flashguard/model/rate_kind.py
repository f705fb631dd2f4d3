"""What a rate limit counts by."""

from enum import StrEnum


class RateKind(StrEnum):
    """What a limit on how often somebody may ask counts by."""

    ADDRESS = "address"
    KEY = "key"
    CUSTOMER = "customer"
