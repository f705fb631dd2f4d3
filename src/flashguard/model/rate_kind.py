"""The kinds of rate limits."""

from enum import StrEnum


class RateKind(StrEnum):
    """The property of a request by which a rate limit counts."""

    ADDRESS = "address"
    KEY = "key"
    CUSTOMER = "customer"
