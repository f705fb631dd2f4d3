from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Order",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("customer", models.CharField(max_length=200)),
                ("sku", models.CharField(max_length=200)),
                ("quantity", models.PositiveIntegerField()),
                ("reservation", models.CharField(max_length=255, unique=True)),
                ("receipt", models.TextField()),
                ("held_until", models.DateTimeField(null=True)),
                ("state", models.CharField(default="held", max_length=16)),
            ],
        ),
        migrations.CreateModel(
            name="OwnOrder",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("customer", models.CharField(max_length=200)),
                ("sku", models.CharField(max_length=200)),
                ("quantity", models.PositiveIntegerField()),
                ("returned", models.BooleanField(default=False)),
            ],
        ),
        migrations.CreateModel(
            name="OwnStock",
            fields=[
                ("sku", models.CharField(max_length=200, primary_key=True, serialize=False)),
                ("units", models.IntegerField()),
            ],
        ),
    ]
