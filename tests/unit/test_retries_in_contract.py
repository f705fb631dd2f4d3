"""Every call that changes something takes an `Idempotency-Key`, or a reason why it needs none stands here."""

from flashguard.api.app import create_app

WITHOUT_KEY = {
    "POST /v1/buyer-tokens/{id}/revoke": "what is revoked stays revoked",
    "POST /v1/keys/{id}/revoke": "what is revoked stays revoked, since the first time",
    "POST /v1/payments/{id}/refund": "a refund that is under way or done is not made a second time",
    "POST /v1/payments/{provider}/webhook": "a provider's event counts once, by its id",
    "POST /v1/reservations/{id}/payment": "the same hold and provider have the same payment",
    "POST /v1/reservations/{id}/confirm": "a confirmed reservation is answered as it is",
    "POST /v1/reservations/{id}/release": "a released reservation is answered as it is",
    "DELETE /v1/sales/{sale}": "there is nothing left to delete",
    "PATCH /v1/sales/{sale}": "sets values, to the same ones again",
    "POST /v1/sales/{sale}/orders:batch": "each request has a key of its own in the body",
    "POST /v1/sales/{sale}/reservations:batch": "each request has a key of its own in the body",
    "POST /v1/sales/{sale}/shadow": "a shadow stays one, since the first time",
    "POST /v1/sales/{sale}/shadow/attempts": "each attempt has a key of its own in the body",
    "POST /v1/sales/{sale}/tickets": "a customer has one ticket of a sale",
    "POST /v1/sales/{sale}/tickets/{ticket}/leave": "who left stays away",
    "POST /v1/simulations/{id}/stop": "one that is over stays as it is",
    "DELETE /v1/waiting-list/{id}": "an entry that ended stays ended",
    "DELETE /v1/webhooks/{id}": "there is nothing left to delete",
    "PATCH /v1/webhooks/{id}": "sets values, to the same ones again",
    "POST /v1/webhooks/{id}/replay": "messages keep their ids; receivers must take one twice in any case",
}


def test_every_changing_call_takes_a_key_or_has_a_reason() -> None:
    calls = {
        f"{method.upper()} {path}": [each["name"].lower() for each in call.get("parameters", ())]
        for path, methods in create_app().openapi()["paths"].items()
        for method, call in methods.items()
        if method in ("post", "put", "patch", "delete")
    }
    assert len(calls) > 30
    assert {name for name, parameters in calls.items() if "idempotency-key" not in parameters} == {
        *WITHOUT_KEY
    }
