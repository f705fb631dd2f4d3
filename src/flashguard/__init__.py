"""FlashGuard: an inventory engine that never oversells and never loses an order that it confirmed."""

__version__ = "0.1.0"
