"""Settings of the example. Those of FlashGuard are the last."""

import os

DEBUG = False
SECRET_KEY = os.environ.get("SHOP_SECRET", "an example, for no real shop")
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "store.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "flashguard.contrib.django",
    "store",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", "shop.sqlite3"),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}

SHOP_PROVIDER = os.environ.get(
    "SHOP_PROVIDER"
)  # a payment provider of FlashGuard; None: the shop has its own

FLASHGUARD = {
    "URL": os.environ.get("FLASHGUARD_URL", "http://127.0.0.1:8000"),
    "KEY": os.environ.get("SHOP_KEY"),
    "SALES": [os.environ.get("SHOP_SALE", "demo")],
    "SHADOW": os.environ.get("SHOP_SHADOW"),
}
