from datetime import UTC, datetime, timedelta

import pytest

from jobs.rfi_reminders import remind_of_rfis
from models import Customer, Message, Rfi, RfiLink, RfiState
from settings import settings


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


async def test_without_an_address_of_the_portal_it_waits(customer):
    assert await remind_of_rfis() == 0
    assert (await Rfi.get()).remind_at is not None
