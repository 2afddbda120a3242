"""What people write down about a customer, and what each note said before it was edited."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields

from models import checking, events, rights
from models.events import transaction
from models.history import HistoryEvent

if TYPE_CHECKING:
    from models.customer import Customer
    from models.user import PortalUser

MOST = 100_000  # characters: some forty pages


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

    Invalid = checking.Invalid

    class EditedMeanwhile(ValueError):
        """Somebody else has edited the note since it was seen; `note` is what it says now."""

        def __init__(self, note: 'Note') -> None:
            super().__init__(f'{note.edited_by or "Somebody else"} has edited this note meanwhile.')
            self.note = note

    # -- questions ----------------------------------------------------------------------------------------------------

    @classmethod
    async def list_of(cls, customer_id: int, *, limit: int = 50, before_id: int | None = None) -> list[dict[str, Any]]:
        """The notes of a customer, the newest first; further ones come before the last id."""
        from models.database import rows

        notes = cls.filter(customer_id=customer_id, **({} if before_id is None else {'id__lt': before_id}))
        return [_told(row) for row in await rows(notes.order_by('-id').limit(limit).values(*_NAMES))]

    @classmethod
    async def edited_lately(cls, customer_id: int, *, limit: int = 10) -> list[dict[str, Any]]:
        """The notes that were edited last, as `list_of` gives them."""
        from models.database import rows

        notes = cls.filter(customer_id=customer_id, edited_at__isnull=False).order_by('-edited_at').limit(limit)
        return [_told(row) for row in await rows(notes.values(*_NAMES))]

    @classmethod
    async def count_of(cls, customer_id: int) -> int:
        from models.database import reader

        return await cls.filter(customer_id=customer_id).using_db(reader()).count()

    @classmethod
    async def versions_of(cls, note_id: int) -> list[dict[str, Any]]:
        """What a note said before, the newest first: version, body, by and at. What it says now is not among them."""
        from models.database import rows

        versions = NoteVersion.filter(note_id=note_id).order_by('-version')
        return [
            {**row, 'at': _iso(row['at'])} for row in await rows(versions.values('version', 'body', 'by', 'at'))
        ]  # fmt: skip

    # -- verbs --------------------------------------------------------------------------------------------------------

    @classmethod
    def clean(cls, body: str) -> str:
        """The text as it is stored: plain, with its lines; raises `Note.Invalid`."""
        text = re.sub('\r\n|[\r\x85\u2028\u2029]', '\n', str(body))
        # Nothing that does not show, and no half of a character, which no database takes. Marks of direction stay.
        text = ''.join(c for c in text if c in '\n\t' or unicodedata.category(c) not in ('Cc', 'Cs'))
        text = re.sub(r'\A(?:[^\S\n]*\n)+', '', text).rstrip()
        if not any(c.isprintable() and not c.isspace() for c in text):
            raise cls.Invalid('body', 'is empty')
        if len(text) > MOST:
            raise cls.Invalid('body', f'is longer than {MOST:,} characters (it has {len(text):,})')
        return text

    @classmethod
    async def add(cls, customer: 'Customer', body: str, *, by: 'PortalUser') -> 'Note':
        """Write a note; raises `Note.Invalid`, or `Refused` for somebody who may not."""
        rights.require(by, 'note.add')
        text, now = cls.clean(body), datetime.now(UTC)
        async with transaction():
            note = await cls.create(
                customer_id=customer.id, body=text, author_id=by.id, author=by.name[:120], created_at=now
            )
            await HistoryEvent.add(
                customer.partner_id, 'note.added', 'A note was added', customer_id=customer.id, by=by, at=now,
                note=note.id,
            )  # fmt: skip
            events.CUSTOMER_TOUCHED.emit(customer.partner_id, {customer.id: frozenset({'notes'})})
        return note

    async def edit(self, body: str, *, by: 'PortalUser', seen: int) -> None:
        """Give the note another text; `seen` is the version that the editor saw. What it said is kept.

        Raises `Note.EditedMeanwhile` for whoever comes second, `Note.Invalid`, or `Refused`.
        """
        from models.customer import Customer

        async with transaction():
            fresh = await Note.get(id=self.id)
            rights.require(by, 'note.edit_own' if fresh.author_id == by.id else 'note.edit_any')
            text, now = self.clean(body), datetime.now(UTC)
            if fresh.version != seen:
                raise Note.EditedMeanwhile(fresh)
            if text != fresh.body:
                changes = {
                    'body': text, 'version': seen + 1, 'edited_by_id': by.id, 'edited_by': by.name[:120],
                    'edited_at': now,
                }  # fmt: skip
                # Named by the old version: of two at once, one wins.
                if not await Note.filter(id=fresh.id, version=seen).update(**changes):
                    raise Note.EditedMeanwhile(await Note.get(id=self.id))
                await NoteVersion.create(
                    note_id=fresh.id, version=seen, body=fresh.body, by=fresh.edited_by or fresh.author,
                    at=fresh.edited_at or fresh.created_at,
                )  # fmt: skip
                fresh.update_from_dict(changes)
                customer = await Customer.get(id=fresh.customer_id).only('id', 'partner_id')
                await HistoryEvent.add(
                    customer.partner_id, 'note.edited', 'A note was edited', customer_id=customer.id, by=by, at=now,
                    note=fresh.id,
                )  # fmt: skip
                events.CUSTOMER_TOUCHED.emit(customer.partner_id, {customer.id: frozenset({'notes'})})
        self.update_from_dict({name: getattr(fresh, name) for name in _TEXT})


_NAMES = ('id', 'body', 'version', 'author', 'author_id', 'created_at', 'edited_by', 'edited_at')
_TEXT = ('body', 'version', 'edited_by_id', 'edited_by', 'edited_at')


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


def _told(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, 'created_at': _iso(row['created_at']), 'edited_at': _iso(row['edited_at'])}


def _iso(value: datetime | str | None) -> str | None:
    """A moment as JSON says it; databases give it in their own ways."""
    if value is None:
        return None
    return (value if isinstance(value, datetime) else datetime.fromisoformat(value)).astimezone(UTC).isoformat()
