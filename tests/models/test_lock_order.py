"""Whoever needs the same rows takes them in the same order: on PostgreSQL nobody is thrown out of a deadlock."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest
from tortoise.connection import get_connection

from models import Contact, ContactKind, Customer, HistoryEvent, Order, OrderState, Rfi, RfiLink, RfiState, VendorState
from models.correcting import correct
from models.customer import hold_monitors
from models.customer_import import import_customers
from models.events import transaction
from tests.models.test_rfi_filling import RIGHT

pytestmark = pytest.mark.postgres


@pytest.fixture
async def customer(postgres_db, northwind) -> Customer:
    made = await Customer.add(
        northwind.partner, name='Kunde', account_code='P-1', domain='kunde.example', rfi=RfiState.REQUESTED,
        code_is_provisional=True,
    )  # fmt: skip
    # Sent back once before: from then on the steps are planned.
    await Customer.filter(id=made.id).update(rfi_returned=True)
    await Rfi.filter(customer_id=made.id).update(answers=RIGHT)
    return made


@pytest.fixture
async def beside(postgres_db, until) -> Callable[[Coroutine], Awaitable[asyncio.Task]]:
    """Lets something run outside of the test's transaction until it waits for a row that is held, or is done."""
    outside = contextvars.copy_context()

    async def beside(work: Coroutine) -> asyncio.Task:
        task = asyncio.get_running_loop().create_task(work, context=outside.copy())

        async def waits() -> bool:
            sql = 'SELECT COUNT(*) AS n FROM pg_locks WHERE NOT granted'
            return task.done() or (await get_connection('default').execute_query_dict(sql))[0]['n'] > 0

        await until(waits)
        return task

    return beside


async def _held(customer: Customer) -> Customer:
    return await Customer.filter(id=customer.id).select_for_update(no_key=True).get()


async def _written(customer: Customer) -> None:
    await HistoryEvent.add(customer.partner_id, 'connect.step_started', 'A step was begun', customer_id=customer.id)


async def test_a_form_is_sent_back_as_a_step_moves(customer, northwind, beside):
    form = await Rfi.get(customer_id=customer.id)
    async with transaction():
        await _held(customer)
        task = await beside(form.submit(declares=True, by=northwind.ana))
        await _written(customer)
    assert (await task)[0].state == RfiState.COMPLETE


async def test_an_order_is_accepted_with_its_code_as_a_step_moves(customer, northwind, beside):
    order = await Order.create(
        partner=northwind.partner, customer=customer, state=OrderState.SUBMITTED, vendor=VendorState.DELIVERED,
        vendor_at=datetime.now(UTC),
    )  # fmt: skip
    async with transaction():
        await _held(customer)
        task = await beside(order.accept(northwind.ana, 'K-1'))
        await _written(customer)
    await task
    assert (await Customer.get(id=customer.id)).account_code == 'K-1'


async def test_an_order_is_corrected_as_a_form_is_saved_and_a_step_moves(customer, northwind, beside):
    lead = {'lead_first_name': 'Ida', 'lead_last_name': 'Iva', 'lead_email': 'i@kunde.example', 'lead_phone': ''}
    order = await Order.create(
        partner=northwind.partner, customer=customer, state=OrderState.SUBMITTED, vendor=VendorState.DELIVERED,
        vendor_at=datetime.now(UTC), po_number='7', details={'people': lead},
    )  # fmt: skip
    await Contact.create(
        customer=customer, kind=ContactKind.TECHNICAL, first_name='Ida', last_name='Iva', email='i@kunde.example'
    )
    async with transaction():
        await Rfi.filter(customer_id=customer.id).select_for_update(no_key=True).get()
        task = await beside(correct(order, {'lead_email': 'o@kunde.example'}, by=northwind.ana, moves_rfi=True))
        await _held(customer)
        await _written(customer)
    assert await task
    assert (await Rfi.get(customer_id=customer.id)).sent_to == 'o@kunde.example'


async def test_connect_is_abandoned_as_a_reading_is_stored(customer, northwind, beside):
    async with transaction() as connection:
        await hold_monitors(connection, [customer.id])
        task = await beside(customer.abandon('They went away', by=northwind.ana))
        await _held(customer)
    await task


async def test_a_file_is_imported_as_a_form_is_sent_back(customer, northwind, beside):
    async with transaction():
        await Rfi.filter(customer_id=customer.id).select_for_update(no_key=True).get()
        task = await beside(import_customers(northwind.partner, 'name,account_code,rfi\nKunde,P-1,complete\n'))
        await _held(customer)
    assert (await task).updated == 1


@pytest.mark.parametrize('verb', ['revoke', 'opened'])
async def test_a_link_is_revoked_or_used_as_the_form_becomes_complete(customer, northwind, beside, verb):
    link = (await RfiLink.issue(customer, by=None, at='https://portal.example', recipient='i@kunde.example')).link
    work: dict[str, Callable[[], Any]] = {'revoke': lambda: link.revoke(by=northwind.ana), 'opened': link.opened}
    async with transaction():
        await Rfi.filter(customer_id=customer.id).select_for_update(no_key=True).get()
        task = await beside(work[verb]())
        await RfiLink.close_all_of(customer.id)
    await task
