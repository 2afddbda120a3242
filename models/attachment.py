"""Documents of a customer, and how far their safe PDFs are; their bytes are kept by models/attachment_files.py."""

import asyncio
import hashlib
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tortoise import Model, fields

from models import attachment_files as files
from models import events
from models.database import rows, rows_within
from models.documents.facts import Pdf
from models.events import transaction
from models.history import HistoryEvent
from models.rights import require
from settings import settings

if TYPE_CHECKING:
    from models.customer import Customer
    from models.user import PortalUser

# What a row says after each time that the making of its PDF was cut short; after the last one it is given up.
CUT_SHORT = (
    'Making the PDF was cut short; it is tried again.',
    'Making the PDF was cut short twice; it is tried once more.',
)
_NAMES_A_QUERY = 500


class AlreadyThere(ValueError):
    """The customer has this very file already."""

    def __init__(self, attachment: 'Attachment') -> None:
        super().__init__(f'This file is already there: “{attachment.name}”.')
        self.attachment = attachment


class TooMany(ValueError):
    """The customer has as many attachments as it may have."""


class NotNow(ValueError):
    """This cannot be done with the attachment as it is."""


class AttachmentKind(StrEnum):
    ORDER = 'order'
    ADDENDUM = 'addendum'
    RFI_COPY = 'rfi_copy'
    CANCELLATION = 'cancel'
    OTHER = 'other'

    @property
    def title(self) -> str:
        return _KINDS[self]


_KINDS = {
    AttachmentKind.ORDER: 'Order', AttachmentKind.ADDENDUM: 'Addendum', AttachmentKind.RFI_COPY: 'RFI copy',
    AttachmentKind.CANCELLATION: 'Cancellation', AttachmentKind.OTHER: 'Upload',
}  # fmt: skip


class AttachmentState(StrEnum):
    """How far the safe PDF is."""

    WAITING = 'waiting'
    WORKING = 'working'
    READY = 'ready'
    FAILED = 'failed'


class Attachment(Model):
    """A document of a customer. What is opened is always the safe PDF, never what was uploaded."""

    id = fields.IntField(primary_key=True)
    customer: 'fields.ForeignKeyRelation[Customer]' = fields.ForeignKeyField(
        'models.Customer', related_name='attachments', on_delete=fields.CASCADE
    )
    customer_id: int
    kind = fields.CharEnumField(AttachmentKind, max_length=10, default=AttachmentKind.OTHER)
    name = fields.CharField(max_length=200)
    # Under which random name original and PDF lie; says nothing of either.
    stored = fields.CharField(max_length=40, unique=True)
    size = fields.BigIntField()
    sha256 = fields.CharField(max_length=64)
    state = fields.CharEnumField(AttachmentState, max_length=8, default=AttachmentState.WAITING)
    reason = fields.CharField(max_length=200, default='', db_default='')
    pages = fields.IntField(null=True)
    pdf_size = fields.BigIntField(null=True)
    uploaded_by_id = fields.IntField(null=True)
    uploaded_by = fields.CharField(max_length=120, default='', db_default='')
    uploaded_at = fields.DatetimeField()
    started_at = fields.DatetimeField(null=True)
    done_at = fields.DatetimeField(null=True)
    original_deleted_at = fields.DatetimeField(null=True)

    class Meta:
        table = 'attachment'
        table_description = 'A document of a customer'
        unique_together = (('customer_id', 'sha256'),)
        indexes = (('state', 'uploaded_at'),)

    # -- verbs --------------------------------------------------------------------------------------------------------

    @classmethod
    async def add(
        cls, customer: 'Customer', *, name: str, path: Path, size: int, sha256: str, by: 'PortalUser',
        kind: AttachmentKind = AttachmentKind.OTHER,
    ) -> Self:  # fmt: skip
        """Take a file that was written beside the originals; its safe PDF is made later.

        Raises `AlreadyThere` for the same bytes (unless there is no safe PDF of them: then they are tried again), and
        `TooMany`. The file at `path` is moved, or left to the caller.
        """
        require(by, 'attachment.add')
        shown = files.clean_name(name)
        placed: Path | None = None
        try:
            async with transaction() as connection:
                await _lock(connection, customer.id)
                found = await cls.filter(customer_id=customer.id, sha256=sha256).first()
                if found is not None and found.state != AttachmentState.FAILED:
                    raise AlreadyThere(found)
                if found is None:
                    await cls.room(customer.id)
                now = datetime.now(UTC)
                again: dict[str, Any] = {
                    'state': AttachmentState.WAITING, 'reason': '', 'uploaded_at': now, 'uploaded_by_id': by.id,
                    'uploaded_by': by.name[:120], 'started_at': None, 'done_at': None, 'original_deleted_at': None,
                }  # fmt: skip
                if found is None:
                    placed = files.original_of(stored := files.new_stored())
                    await asyncio.to_thread(files.move, path, placed)
                    found = await cls.create(
                        customer_id=customer.id, kind=kind, name=shown, stored=stored, size=size, sha256=sha256, **again
                    )
                else:
                    await asyncio.to_thread(files.move, path, files.original_of(found.stored))
                    await found.update_from_dict(again).save(update_fields=list(again))
                await _told(
                    customer.partner_id, customer.id, 'attachment.added', f'“{found.name}” was uploaded', by=by,
                    attachment_id=found.id,
                )  # fmt: skip
        except BaseException:
            if placed is not None:
                await asyncio.to_thread(placed.unlink, missing_ok=True)
            raise
        return found

    @classmethod
    async def add_made(
        cls, customer: 'Customer', *, kind: AttachmentKind, name: str, pdf: bytes, by: 'PortalUser | None'
    ) -> Self:
        """Keep a PDF that the portal itself has made: it is safe, and there is no original."""
        digest, stored, now = hashlib.sha256(pdf).hexdigest(), files.new_stored(), datetime.now(UTC)
        pages = pdf.pages if isinstance(pdf, Pdf) else None
        try:
            async with transaction() as connection:
                await _lock(connection, customer.id)
                if (found := await cls.filter(customer_id=customer.id, sha256=digest).first()) is not None:
                    raise AlreadyThere(found)
                await asyncio.to_thread(files.write_pdf, stored, pdf)
                made = await cls.create(
                    customer_id=customer.id, kind=kind, name=files.clean_name(name), stored=stored, size=len(pdf),
                    sha256=digest, state=AttachmentState.READY, pages=pages, pdf_size=len(pdf),
                    uploaded_by_id=by.id if by else None, uploaded_by=by.name[:120] if by else '', uploaded_at=now,
                    done_at=now,
                )  # fmt: skip
                await _told(
                    customer.partner_id, customer.id, 'attachment.added', f'“{made.name}” was added', by=by,
                    attachment_id=made.id,
                )  # fmt: skip
        except BaseException:
            await asyncio.to_thread(files.pdf_of(stored).unlink, missing_ok=True)
            raise
        return made

    async def begin(self) -> bool:
        """Claim it for making its PDF; False when another process was quicker."""
        now = datetime.now(UTC)
        return await self._move(AttachmentState.WAITING, AttachmentState.WORKING, started_at=now)

    async def finish(self, pages: int, size: int) -> bool:
        """The safe PDF lies in its place; False when somebody else has taken it over meanwhile."""
        counted = '1 page' if pages == 1 else f'{pages:,} pages'
        entry = ('attachment.converted', f'“{self.name}” can be opened: {counted}')
        return await self._move(
            AttachmentState.WORKING, AttachmentState.READY, entry,
            pages=pages, pdf_size=size, done_at=datetime.now(UTC), reason='',
        )  # fmt: skip

    async def fail(self, reason: str) -> bool:
        """There is no safe PDF, and this sentence says why."""
        entry = ('attachment.rejected', f'“{self.name}” cannot be opened: {reason[:180]}')
        return await self._move(
            AttachmentState.WORKING, AttachmentState.FAILED, entry, reason=reason[:200], done_at=datetime.now(UTC)
        )

    async def put_back(self) -> bool:
        """Leave it for the next start: the portal goes down, the file is none the worse for it."""
        return await self._move(AttachmentState.WORKING, AttachmentState.WAITING, started_at=None)

    @classmethod
    async def take_back(cls, before: datetime) -> int:
        """What was begun before this time and never came to an end is tried again, twice, and then given up."""
        taken = 0
        for each in await cls.filter(state=AttachmentState.WORKING, started_at__lt=before).limit(100):
            if each.reason == CUT_SHORT[-1]:
                taken += await each.fail('Making the PDF was begun three times and never came to an end.')
            else:
                said = CUT_SHORT[CUT_SHORT.index(each.reason) + 1] if each.reason in CUT_SHORT else CUT_SHORT[0]
                taken += await each._move(AttachmentState.WORKING, AttachmentState.WAITING, reason=said)
        return taken

    async def delete_original(self, by: 'PortalUser') -> None:
        """Delete what was uploaded; the safe PDF stays. Raises `NotNow` where it is still needed, or gone."""
        require(by, 'attachment.delete_original')
        async with transaction():
            now = datetime.now(UTC)
            fresh = await Attachment.get(id=self.id)
            if fresh.state in (AttachmentState.WAITING, AttachmentState.WORKING):
                raise NotNow('The safe PDF is not made yet; the original can be deleted afterwards.')
            here = Attachment.filter(id=self.id, state=fresh.state, original_deleted_at=None)
            if not fresh.has_original or not await here.update(original_deleted_at=now):
                raise NotNow('There is no original any more.')
            partner_id = await _partner_of(fresh.customer_id)
            await _told(
                partner_id, fresh.customer_id, 'attachment.original_deleted',
                f'The uploaded original of “{fresh.name}” was deleted', by=by, attachment_id=fresh.id,
            )  # fmt: skip
            # Last, so that nothing is stored of a deletion that did not come about.
            await asyncio.to_thread(files.original_of(fresh.stored).unlink, missing_ok=True)
        self.original_deleted_at = now

    async def _move(
        self, old: AttachmentState, new: AttachmentState, entry: tuple[str, str] | None = None, **columns: Any
    ) -> bool:
        async with transaction():
            # By the old state and its time: one that was taken back and begun again is another's.
            mine = Attachment.filter(id=self.id, state=old)
            if old == AttachmentState.WORKING:
                mine = mine.filter(started_at=self.started_at)
            if not await mine.update(state=new, **columns):
                return False
            partner_id = await _partner_of(self.customer_id)
            if entry is not None:
                kind, said = entry
                await _told(partner_id, self.customer_id, kind, said, attachment_id=self.id)
            else:
                _touch(partner_id, self.customer_id)
        self.update_from_dict({'state': new, **columns})
        return True

    # -- questions ----------------------------------------------------------------------------------------------------

    @property
    def has_original(self) -> bool:
        """Whether what was uploaded is kept; a PDF that the portal made had never anything to begin with."""
        was_uploaded = self.state != AttachmentState.READY or self.started_at is not None
        return was_uploaded and self.original_deleted_at is None

    @property
    def original(self) -> Path:
        return files.original_of(self.stored)

    @property
    def pdf(self) -> Path:
        return files.pdf_of(self.stored)

    async def is_there(self) -> bool:
        """Whether its safe PDF is in its place. An order of the demo is drawn when it is first asked for."""
        if await asyncio.to_thread(self.pdf.is_file):
            return True
        if files.is_drawn(self.sha256) or self.state != AttachmentState.READY:
            return False
        from models.demo_documents import draw

        return await draw(self)

    @property
    def pdf_name(self) -> str:
        """What the safe PDF is called when it is kept."""
        return self.name if self.name.lower().endswith('.pdf') else f'{self.name}.pdf'

    @classmethod
    async def room(cls, customer_id: int) -> None:
        """Raise `TooMany` where a customer has as many attachments as it may have."""
        most = settings().attachments_per_customer
        if await cls.filter(customer_id=customer_id).count() >= most:
            raise TooMany(f'This customer has {most:,} attachments, and there can be no more.')

    @classmethod
    async def next_waiting(cls) -> Self | None:
        """The one that has waited longest for its PDF."""
        return await cls.filter(state=AttachmentState.WAITING).order_by('uploaded_at', 'id').first()

    @classmethod
    async def list_of(cls, customer_id: int) -> list[dict[str, Any]]:
        """What the page of a customer shows, newest first; for a customer that somebody was found to see."""
        found = await rows(
            cls.filter(customer_id=customer_id).order_by('-uploaded_at', '-id').values(
                'id', 'kind', 'name', 'size', 'state', 'reason', 'pages', 'pdf_size', 'uploaded_at', 'uploaded_by',
                'started_at', 'original_deleted_at',
            )
        )  # fmt: skip
        for row in found:
            started_at, deleted_at = row.pop('started_at'), row.pop('original_deleted_at')
            row['kind_title'] = AttachmentKind(row['kind']).title
            row['uploaded_at'] = _iso(row['uploaded_at'])
            was_uploaded = row['state'] != AttachmentState.READY or started_at is not None
            row['has_original'] = was_uploaded and deleted_at is None
        return found

    @classmethod
    async def unknown(cls, stored: list[str]) -> set[str]:
        """Which of these stored names belong to no attachment.

        A database without any attachment says nothing: somebody may have opened another one beside these files.
        """
        if not await cls.all().limit(1).exists():
            return set()
        known: set[str] = set()
        for start in range(0, len(stored), _NAMES_A_QUERY):
            some = stored[start : start + _NAMES_A_QUERY]
            known.update(row['stored'] for row in await rows(cls.filter(stored__in=some).values('stored')))
        return set(stored) - known


async def _lock(connection: Any, customer_id: int) -> None:
    """One upload of a customer after the other, so that two of the same file see each other."""
    from models.customer import Customer

    await rows_within(connection, Customer.filter(id=customer_id).values('id'), lock=True)


async def _partner_of(customer_id: int) -> int:
    from models.customer import Customer

    return (await Customer.filter(id=customer_id).values('partner_id'))[0]['partner_id']


async def _told(
    partner_id: int, customer_id: int, kind: str, summary: str, *, attachment_id: int, by: 'PortalUser | None' = None
) -> None:
    await HistoryEvent.add(partner_id, kind, summary, customer_id=customer_id, by=by, attachment_id=attachment_id)
    _touch(partner_id, customer_id)


def _touch(partner_id: int, customer_id: int) -> None:
    events.CUSTOMER_TOUCHED.emit(partner_id, {customer_id: frozenset({'attachments'})})


def _iso(at: Any) -> str:
    return (datetime.fromisoformat(at) if isinstance(at, str) else at).isoformat()
