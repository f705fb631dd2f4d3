"""The table of paid holds."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies: list[tuple[str, str]] = []

    operations = [
        migrations.CreateModel(
            name="ListedSale",
            fields=[
                ("id", models.CharField(max_length=255, primary_key=True, serialize=False)),
            ],
            options={
                "verbose_name": "sale",
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="PaidHold",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("reservation", models.CharField(max_length=255, unique=True)),
                ("receipt", models.TextField(blank=True)),
                (
                    "reference",
                    models.CharField(
                        blank=True, db_index=True, help_text="the shop's own order number", max_length=255
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("pending", "pending"), ("confirmed", "confirmed"), ("refused", "refused")],
                        db_index=True,
                        default="pending",
                        max_length=16,
                    ),
                ),
                (
                    "code",
                    models.CharField(
                        blank=True, help_text="why it was refused, or what failed last", max_length=64
                    ),
                ),
                (
                    "refund",
                    models.JSONField(
                        blank=True, help_text="what to give back, in the currency's minor unit", null=True
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, db_index=True)),
                ("settled_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "paid hold",
                "ordering": ("-created_at", "-id"),
            },
        ),
    ]
