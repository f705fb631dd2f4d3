"""Pages of the admin: what was paid for, and the sales and orders as FlashGuard has them."""

from itertools import islice
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from flashguard.client import ClientError, Reservation, Sale

from .conf import shop_settings
from .connection import client
from .models import ListedSale, PaidHold
from .shop import settle

MOST_ORDERS: Final = 200
"""Orders that a page shows; a reference finds the others."""
MOST_AT_ONCE: Final = 100
"""Holds that the action confirms in one request."""


class ReadOnly(admin.ModelAdmin):
    """An admin's page that only shows."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(PaidHold)
class PaidHoldAdmin(ReadOnly):
    list_display = ("reservation", "reference", "state", "code", "created_at", "settled_at")
    list_filter = ("state",)
    search_fields = ("=reservation", "=reference")
    actions = ("confirm_now",)

    @admin.action(description="Confirm those that are pending")
    def confirm_now(self, request: HttpRequest, chosen: Any) -> None:
        """Confirm the chosen holds that are pending, and say what came of each that could not be."""
        rows = chosen.filter(state=PaidHold.State.PENDING).order_by("created_at")[:MOST_AT_ONCE]
        states = []
        for hold in rows:
            try:
                states.append(settle(hold))
            except ClientError as error:
                self.message_user(request, f"{hold.reservation}: {error}", messages.ERROR)
        done = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
        self.message_user(request, done or "None of them is pending.")


@admin.register(ListedSale)
class ListedSaleAdmin(ReadOnly):
    """The sales of the settings, and each sale's newest state and orders; all read from FlashGuard."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        sales: list[Sale] = []
        errors: list[str] = []
        for id_ in self._sales(request):
            try:
                sales.append(client().sale(id_))
            except ClientError as error:
                errors.append(f"{id_}: {error}")
        return self._page(request, "sales", "Sales", sales=sales, errors=errors)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        id_ = unquote(object_id)
        if id_ not in self._sales(request):
            raise Http404
        reference = request.GET.get("reference") or None
        sale: Sale | None = None
        orders: list[Reservation] = []
        errors: list[str] = []
        try:
            sale = client().sale(id_)
            orders = list(islice(client().orders(id_, reference=reference), MOST_ORDERS))
        except ClientError as error:
            errors.append(str(error))
        paid = {
            hold.reservation: hold for hold in PaidHold.objects.filter(reservation__in=[o.id for o in orders])
        }
        rows = [(order, paid.get(order.id)) for order in orders]
        more = {"sale": sale, "orders": rows, "reference": reference or "", "most": MOST_ORDERS}
        return self._page(request, "sale", str(sale.name if sale else id_), errors=errors, **more)

    def _sales(self, request: HttpRequest) -> tuple[str, ...]:
        """Return the ids that may be shown to this user."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return shop_settings().sales

    def _page(self, request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:
        shown = {**self.admin_site.each_context(request), "title": title, "opts": self.model._meta, **context}
        return TemplateResponse(request, f"flashguard/{template}.html", shown)
