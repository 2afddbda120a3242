"""The keys that sign assertions for consoles: one signs, older ones stay public until nothing they signed is good."""

from typing import Any

from tortoise import Model, fields


class SigningKey(Model):
    id = fields.IntField(primary_key=True)
    kid = fields.CharField(max_length=64, unique=True)
    private = fields.TextField()  # PEM, sealed (models/sealed.py)
    public: Any = fields.JSONField()  # as in /.well-known/jwks.json
    created_at = fields.DatetimeField(auto_now_add=True)
    retired_at = fields.DatetimeField(null=True)

    class Meta:
        table = 'signing_key'
        table_description = 'A key that signs assertions'
