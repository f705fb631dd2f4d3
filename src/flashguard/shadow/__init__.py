"""Shadow mode: FlashGuard decides beside the shop's own stock, and refuses nobody."""
