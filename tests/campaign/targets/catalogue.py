"""The adapters by name, and those of others by the place of their class."""

import importlib
from collections.abc import Callable
from typing import Final

from flashguard.simulator.strategies import BASELINES
from tests.campaign.targets.flashguard_target import FlashGuardTarget
from tests.campaign.targets.loopback import require_loopback
from tests.campaign.targets.medusa_target import MedusaTarget
from tests.campaign.targets.rival_target import RivalTarget
from tests.campaign.targets.target import Target
from tests.campaign.targets.vendure_target import VendureTarget


def _rival(name: str) -> Callable[[], Target]:
    return lambda: RivalTarget(name)


LAUNCHED: Final[dict[str, Callable[[], Target]]] = {
    "flashguard": FlashGuardTarget,
    "flashguard-one-call": lambda: FlashGuardTarget(one_step=True),
    **{name: _rival(name) for name in BASELINES},
    "medusa": MedusaTarget,
    "vendure": VendureTarget,
}
"""Shops that the harness starts itself."""
AT_URL: Final[dict[str, Callable[[str], Target]]] = {
    "flashguard": lambda url: FlashGuardTarget(url),
    "flashguard-one-call": lambda url: FlashGuardTarget(url, one_step=True),
}
"""Shops that may run already."""


class UnknownTargetError(Exception):
    """There is no such adapter."""


def target_named(name: str, url: str = "") -> Target:
    """Return an adapter: one of these, or `module:Class` of another, which is called with the address.

    Raises:
        UnknownTargetError: there is none.
        RefusedTargetError: the address is not on this machine's loopback.
    """
    if url:
        url = require_loopback(url)
    if ":" in name:
        module, _, attribute = name.partition(":")
        try:
            made: Target = getattr(importlib.import_module(module), attribute)(url)
        except (ImportError, AttributeError) as error:
            raise UnknownTargetError(f"{name}: {error}") from error
        return made
    if url:
        if name not in AT_URL:
            raise UnknownTargetError(f"{name} is started by the harness: leave out --url")
        return AT_URL[name](url)
    if name not in LAUNCHED:
        raise UnknownTargetError(f"{name}: choose from {', '.join(LAUNCHED)}, or name module:Class")
    return LAUNCHED[name]()
