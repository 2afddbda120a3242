"""Writing an e-mail: from a template to a message that waits (models/message.py); `jobs/mailing.py` sends it."""

import asyncio
import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models import events, rights
from models.checking import Impossible, Invalid, email
from models.events import transaction
from models.history import HistoryEvent
from models.message import Message
from models.partner import Partner
from models.sealed import seal
from models.smtp import Refused, Unusable, connected
from models.text import printable

if TYPE_CHECKING:
    from models.user import PortalUser

TEMPLATES = Path(__file__).parent / 'templates' / 'mail'
TEST_TAKES = 18  # seconds at most: somebody waits for the answer
_testing: set[int] = set()  # MSPs for which a test message is on its way
_SUBJECT = 'Subject: '
_templates = Environment(  # nosec B701 # by the name: HTML is escaped, plain text is not
    loader=FileSystemLoader(TEMPLATES), autoescape=lambda name: bool(name) and name.endswith('.html'),
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip


async def post(
    partner: Partner, *, kind: str, recipient: str, template: str, facts: dict[str, Any],
    good_until: datetime | None = None, customer_id: int | None = None, attachment_id: int | None = None,
    key: str = '',
) -> Message | None:  # fmt: skip
    """Write a message to one person, inside the transaction of whoever calls.

    None, and nothing is written, where the MSP has no mail server: the caller shows the link instead. `template` names
    `templates/mail/<template>.txt` and `.html`; they are given `facts`, and name and address of the MSP (`msp`,
    `address`). After `good_until` the message is worth nothing, and is not sent any more. `customer_id` says about
    whom it is, and so who may know of it; the safe PDF of `attachment_id`, a document of that customer, goes with it.
    `key` names the message: there is one with the same key at most (`IntegrityError`). Raises `Invalid` for a
    recipient that is none.
    """
    if not partner.smtp_host:
        return None
    recipient = email('recipient', recipient)
    if not recipient:
        raise Invalid('recipient', 'is empty')
    subject, text, html = rendered(template, {'msp': partner.name, 'address': partner.address, **facts})
    key = key or secrets.token_hex(16)
    async with transaction():
        message = await Message.create(
            partner_id=partner.id, key=key, kind=kind[:40], recipient=recipient, subject=subject,
            body=seal(json.dumps({'text': text, 'html': html}), Message.purpose(key)), due_at=datetime.now(UTC),
            good_until=good_until, customer_id=customer_id, attachment_id=attachment_id,
        )  # fmt: skip
        events.MAIL_MOVED.emit(partner.id)
    return message


async def send_test(partner: Partner, by: 'PortalUser') -> tuple[bool, str]:
    """Send a message to whoever asks, at once; whether that went well, and what to say about it.

    It is written down for the audit, because it makes the portal speak to a machine that was named on a page.
    """
    rights.require(by, 'settings.change')
    if partner.id in _testing:
        raise Impossible('A test message is being sent at this moment.')
    subject, text, html = rendered('test', {'msp': partner.name, 'address': partner.address, 'name': by.name})
    _testing.add(partner.id)
    try:
        async with asyncio.timeout(TEST_TAKES), connected(partner) as server:
            answer = await server.send(
                key=secrets.token_hex(16), recipient=by.email, subject=subject, text=text, html=html
            )  # fmt: skip
        went_well, said = True, f'The mail server took the message for {by.email}. It said: “{answer}”.'
    except TimeoutError:
        went_well, said = False, f'The mail server did not take the message within {TEST_TAKES} seconds.'
    except (Unusable, Refused) as error:
        went_well, said = False, str(error)
    finally:
        _testing.discard(partner.id)
    what = 'A test message was sent' if went_well else 'A test message could not be sent'
    await HistoryEvent.add(partner.id, 'settings.mail_tested', f'{what}: {said}'[:400], by=by)
    return went_well, said


def rendered(template: str, facts: dict[str, Any]) -> tuple[str, str, str]:
    """Subject, text and HTML. The text template begins with `Subject: …`; no fact makes that more than one line.

    All of them look alike: HTML stands inside layout.html, and foot.txt below the text.
    """
    head, _, text = _templates.get_template(f'{template}.txt').render(facts).partition('\n')
    assert head.startswith(_SUBJECT), f'{template}.txt does not begin with “Subject: ”'
    html = _templates.get_template(f'{template}.html').render(facts)
    foot = _templates.get_template('foot.txt').render(facts)
    return printable(head.removeprefix(_SUBJECT))[:200], f'{text.strip()}\n\n{foot.strip()}\n', html
