"""Measures FlashGuard's speed beside its rivals in one run: `python -m bench --help`."""
