from typing import TYPE_CHECKING

from tortoise import Model, fields

if TYPE_CHECKING:
    from models.customer import Customer


class Note(Model):
    """What somebody wrote down about a customer."""

    id = fields.IntField(primary_key=True)
    customer: 'fields.ForeignKeyRelation[Customer]' = fields.ForeignKeyField(
        'models.Customer', related_name='notes', on_delete=fields.CASCADE
    )
    customer_id: int
    body = fields.TextField()
    # Counts the texts that it has had; whoever edits says which of them they saw.
    version = fields.IntField(default=1, db_default=1)
    author_id = fields.IntField(null=True)
    author = fields.CharField(max_length=120)
    created_at = fields.DatetimeField()
    edited_by_id = fields.IntField(null=True)
    edited_by = fields.CharField(max_length=120, default='', db_default='')
    edited_at = fields.DatetimeField(null=True)

    class Meta:
        table = 'note'
        table_description = 'A note about a customer'
        indexes = (('customer_id', 'created_at'),)


class NoteVersion(Model):
    """What a note said before it was edited."""

    id = fields.IntField(primary_key=True)
    note: fields.ForeignKeyRelation[Note] = fields.ForeignKeyField(
        'models.Note', related_name='versions', on_delete=fields.CASCADE
    )
    note_id: int
    version = fields.IntField()
    body = fields.TextField()
    by = fields.CharField(max_length=120)
    at = fields.DatetimeField()

    class Meta:
        table = 'note_version'
        table_description = 'What a note said before it was edited'
        unique_together = (('note_id', 'version'),)
