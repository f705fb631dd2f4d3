from django.conf import settings
from django.contrib import admin
from django.urls import path

from . import own_stock, provider, views

urlpatterns = [
    path("", views.front, name="front"),
    path("hold", views.hold, name="hold"),
    path("orders/<int:number>", views.show, name="order"),
    path("orders/<int:number>/pay", provider.checkout if settings.SHOP_PROVIDER else views.pay, name="pay"),
    path("admin/", admin.site.urls),
    path("own/checkout", own_stock.checkout),
    path("own/orders/<int:number>/return", own_stock.give_back),
]
