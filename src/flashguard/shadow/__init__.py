"""Shadow mode: FlashGuard decides beside the shop's own stock and compares, without refusing a buyer."""
