"""Simulates an installation: see `tests/simulation/command.py`."""

import sys

from tests.simulation import virtual

virtual.install()  # before FlashGuard is imported: it keeps references to the clocks

from tests.simulation.command import main  # noqa: E402

sys.exit(main())
