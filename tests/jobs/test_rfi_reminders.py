import re
from datetime import UTC, datetime, timedelta

import pytest

from jobs.mailing import Mailing
from jobs.rfi_reminders import remind_of_rfis
from models import Customer, Message, MessageState, Rfi, RfiLink, RfiState
from settings import settings
from tests.smtp import Post, mail_server, use


@pytest.fixture
async def customer(sqlite_db, northwind) -> Customer:
    northwind.partner.smtp_host, northwind.partner.mail_from = 'smtp.example', 'portal@northwind.example'
    await northwind.partner.save()
    customer = await Customer.add(northwind.partner, name='Kunde', account_code='K', rfi=RfiState.REQUESTED)
    await RfiLink.issue(customer, by=None, at='https://portal.example', recipient='lead@kunde.example')
    await Message.all().delete()
    await Rfi.all().update(remind_at=datetime.now(UTC) - timedelta(minutes=1))
    return customer


async def test_a_reminder_has_a_link_that_opens_the_form(customer, monkeypatch):
    monkeypatch.setenv('PORTAL_PUBLIC_URL', 'https://portal.example')
    settings.cache_clear()
    assert await remind_of_rfis() == 1
    assert await remind_of_rfis() == 0
    text, html = (await Message.get(kind='rfi_reminder')).opened()
    assert 'Kunde' in html
    token = text.partition('https://portal.example/rfi/')[2].split()[0]
    assert (await RfiLink.open(token)).customer_id == customer.id


async def test_a_reminder_arrives_and_whoever_gets_it_can_open_the_form(customer, northwind, clock, monkeypatch):
    monkeypatch.setenv('PORTAL_PUBLIC_URL', 'https://portal.example')
    settings.cache_clear()
    box = Post()
    async with mail_server(box) as port:
        await use(northwind.partner, port)
        assert await remind_of_rfis() == 1
        mailing = Mailing(clock)
        clock.now = datetime.now(UTC) + timedelta(seconds=1)
        await mailing.work()
        await mailing.idle()
    (got,) = box.got
    assert (got['To'], got['Subject']) == (
        'lead@kunde.example', 'Reminder: we still need some information about Kunde'
    )  # fmt: skip
    for part in ('plain', 'html'):
        said = got.get_body((part,)).get_content()
        token = re.search(r'https://portal\.example/rfi/([\w-]+)', said)[1]
        assert (await RfiLink.open(token)).customer_id == customer.id
    [link, _] = await RfiLink.list_of(customer.id)
    assert (link['recipient'], link['is_reminder'], link['mail']) == ('lead@kunde.example', True, 'sent')
    assert (await Rfi.get()).reminders == 1


async def test_nobody_is_reminded_of_a_form_that_came_back_while_the_mail_server_was_away(
    customer, northwind, clock, monkeypatch
):
    monkeypatch.setenv('PORTAL_PUBLIC_URL', 'https://portal.example')
    settings.cache_clear()
    assert await remind_of_rfis() == 1
    assert await RfiLink.revoke_all_of(customer, by=northwind.ana) == 2
    message = await Message.get(kind='rfi_reminder')
    assert (message.state, message.body) == (MessageState.STOPPED, '')
    assert 'revoked' in message.error
    box = Post()
    async with mail_server(box) as port:
        await use(northwind.partner, port)
        clock.now = datetime.now(UTC) + timedelta(hours=1)
        mailing = Mailing(clock)
        await mailing.work()
        await mailing.idle()
    assert not box.got


async def test_without_an_address_of_the_portal_it_waits(customer):
    assert await remind_of_rfis() == 0
    assert (await Rfi.get()).remind_at is not None
