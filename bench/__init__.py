"""What FlashGuard's speed is, measured beside its rivals in one run: `python -m bench --help`."""
