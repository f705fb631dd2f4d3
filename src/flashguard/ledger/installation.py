"""What is fixed once per installation."""

from msgspec import Struct


class Installation(Struct, frozen=True):
    """The secret that signs receipts, and the number of partitions."""

    secret: str
    partitions: int
