"""The app's entry in Django's registry; its settings are checked when Django starts."""

from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from . import connection
from .conf import shop_settings


class ShopConfig(AppConfig):
    name = "flashguard.contrib.django"
    label = "flashguard"
    verbose_name = "FlashGuard"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        checks.register(check_settings)
        setting_changed.connect(_settings_changed)


def check_settings(**_: object) -> list[checks.CheckMessage]:
    """Return what `manage.py check` says of `settings.FLASHGUARD`."""
    try:
        shop_settings()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="flashguard.E001")]
    return []


def _settings_changed(*, setting: str, **_: Any) -> None:
    if setting == "FLASHGUARD":  # a test overrides it
        connection.close()
