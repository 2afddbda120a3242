"""Send what waits: a task and a connection for each MSP, so that a mail server that hangs holds up nobody else's mail.

A message is sent at least once: it is claimed, sent, and only then marked as sent. Whoever gets it twice after a crash
can tell by its Message-ID. A mail server that cannot be used is left alone for growing pauses and costs no message its
attempts but the one that found it out.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from models import Attachment, Message, Partner, events
from models.sealed import Unreadable
from models.smtp import Document, Lost, Refused, Server, Unusable, connected

log = logging.getLogger(__name__)

BATCH = 100  # messages over one connection
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=10)
STOPPING = 5.0  # seconds that messages which are being sent may take when the portal ends


@dataclass
class _Pause:
    """A mail server that could not be used: how long it is left alone, and until when."""

    length: timedelta
    until: datetime


class Mailing:
    """Looks every few seconds for what is due."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._tasks: dict[int, asyncio.Task] = {}
        self._pauses: dict[int, _Pause] = {}
        self._changed: set[int] = set()  # MSPs whose settings were changed
        self._stopping = False
        self._silence: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Hear of changed settings from now on: a pause ends with them."""
        self._silence = events.PARTNER_CHANGED.subscribe(self._changed.add)

    async def stop(self) -> None:
        """Let what is being sent come to its end, for a while; what is cut off is due again later."""
        self._silence()
        self._stopping = True
        if self._tasks:
            _, late = await asyncio.wait(self._tasks.values(), timeout=STOPPING)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def work(self) -> None:
        """Give up what is too old, and start a task for every MSP with something due that has none."""
        now = self._clock()
        while self._changed:
            partner_id = self._changed.pop()
            if self._pauses.pop(partner_id, None):
                await Message.resume(partner_id, now)
        if gone := await Message.give_up(now):
            log.warning('%d messages could not be sent in time', gone)
        for partner_id in await Message.partners_with_due(now):
            pause = self._pauses.get(partner_id)
            if partner_id not in self._tasks and not self._stopping and (pause is None or pause.until <= now):
                task = asyncio.create_task(self._send_for(partner_id), name=f'mail of MSP {partner_id}')
                self._tasks[partner_id] = task
                task.add_done_callback(lambda _task, partner_id=partner_id: self._tasks.pop(partner_id, None))

    async def idle(self) -> None:
        """When everything that was begun has come to its end."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def _send_for(self, partner_id: int) -> None:
        message: Message | None = None
        try:
            partner = await Partner.get(id=partner_id)
            message = await Message.claim(partner_id, self._clock())
            if message is None:
                return
            async with connected(partner) as server:
                for _ in range(BATCH):
                    await self._send(server, message)
                    self._pauses.pop(partner_id, None)
                    message = None if self._stopping else await Message.claim(partner_id, self._clock())
                    if message is None:
                        break
            if message is not None:
                await message.release(self._clock())
        except Lost as error:
            # If it is this message on which the server breaks, the others go first the next time.
            self._pause(partner_id, str(error))
            if message is not None:
                await message.failed_for_now(str(error), self._clock())
        except Unusable as error:
            until = self._pause(partner_id, str(error))
            # Not the pauses of a message: when the server is back, all that waited for it goes out at once.
            if message is not None:
                await message.failed_for_now(str(error), self._clock(), due=until)
            await Message.rest(partner_id, until)
        except Exception as error:  # of the database, say; the message is due again when its claim is over
            log.error('mail of MSP %d: %s: %s', partner_id, type(error).__name__, error)

    def _pause(self, partner_id: int, why: str) -> datetime:
        """Leave the mail server alone; until when."""
        now, before = self._clock(), self._pauses.get(partner_id)
        length = min(before.length * 2, LONGEST_PAUSE) if before else FIRST_PAUSE
        self._pauses[partner_id] = pause = _Pause(length, now + length)
        log.warning('mail of MSP %d waits: %s', partner_id, why)
        return pause.until

    async def _send(self, server: Server, message: Message) -> None:
        try:
            text, html = message.opened()
        except (Unreadable, ValueError, KeyError):
            await message.failed('What it says cannot be read: it was sealed with another PORTAL_SECRET.')
            return
        try:
            document = await _document(message)
            await server.send(
                key=message.key, recipient=message.recipient, subject=message.subject, text=text, html=html,
                document=document,
            )  # fmt: skip
        except Refused as error:
            if error.for_good:
                await message.failed(str(error))
            else:
                await message.failed_for_now(str(error), self._clock())
            log.warning('message %d of MSP %d: %s', message.id, message.partner_id, error)
        else:
            await message.sent(self._clock())


async def _document(message: Message) -> Document | None:
    """The safe PDF that goes with a message; raises `Refused` where it is gone, for the message without it says less
    than it promises."""
    if message.attachment_id is None:
        return None
    found = await Attachment.get_or_none(id=message.attachment_id, customer_id=message.customer_id)
    if found is None:
        raise Refused('The document that belongs to it is not there any more.', for_good=True)
    try:
        await found.is_there()
        return Document(found.pdf_name, await asyncio.to_thread(found.pdf.read_bytes))
    except FileNotFoundError:
        raise Refused(
            f'The file of “{found.name}”, which belongs to it, is not there any more.', for_good=True
        ) from None
    except OSError as error:  # the disk is away for a while, say
        why = (error.strerror or 'it cannot be read').lower()
        raise Refused(f'“{found.name}”, which belongs to it, cannot be read ({why}).', for_good=False) from None
