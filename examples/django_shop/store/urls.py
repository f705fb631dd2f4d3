from django.contrib import admin
from django.urls import path

from . import own_stock, views

urlpatterns = [
    path("", views.front, name="front"),
    path("hold", views.hold, name="hold"),
    path("orders/<int:number>", views.show, name="order"),
    path("orders/<int:number>/pay", views.pay, name="pay"),
    path("admin/", admin.site.urls),
    path("own/checkout", own_stock.checkout),
    path("own/orders/<int:number>/return", own_stock.give_back),
]
