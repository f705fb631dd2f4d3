"""An app for Django shops; requires the extra `django`: pip install '.[django]'.

    # settings.py
    INSTALLED_APPS = [..., "flashguard.contrib.django"]
    FLASHGUARD = {"URL": "https://stock.example", "KEY": "fg_live_…", "SALES": ["drop"]}

    # views.py
    from flashguard.contrib.django.shop import confirm_on_commit, reserve

docs/how-to/django-shop.md says how a view holds, takes the payment and confirms.
"""

from flashguard.errors import how_to_install

try:
    import django  # noqa: F401  (for an error that names the missing extra)
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"The app for Django requires Django; {how_to_install('django')}.", name="django"
    ) from error
