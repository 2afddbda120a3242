"""A change order as people make one: what is typed survives a reload, and licences change before everybody’s eyes."""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Visitors, once
from tests.browser.portal import Portal

pytestmark = pytest.mark.browser


def test_a_quote_outlives_a_reload_and_its_licences_change_on_another_screen(
    visitors: Visitors, portal: Portal
) -> None:
    customer, seats = portal.aside(
        'found = await Customer.get(name="Dvořák Instruments"); return [found.id, found.seats]'
    )
    watching = visitors.page('tom', f'/customers/{customer}')
    watching.wait_for_function("document.documentElement.dataset.live === 'live'")
    page = visitors.page('ana', f'/customers/{customer}/upgrade')
    total = page.get_by_label('New total of licences')
    expect(total).to_have_value(str(seats))
    total.fill(str(seats - 5))
    page.get_by_label('Email encryption').check()
    expect(page.get_by_text('in the same change order that changes products')).to_be_visible()
    expect(page.locator('.order-lines .is-gone').first).to_contain_text(f'× −{seats}')
    page.reload()
    expect(page.get_by_label('New total of licences')).to_have_value(str(seats - 5))
    expect(page.get_by_label('Email encryption')).to_be_checked()
    page.get_by_label('New total of licences').fill(str(seats + 15))
    expect(page.get_by_text('in the same change order that changes products')).to_have_count(0)
    page.get_by_label('Effective from').fill(page.get_by_label('Effective from').get_attribute('min') or '')
    page.get_by_label('Lead on our side').select_option(label='Ana Lindqvist')
    # What is typed while it is being saved is neither lost nor left out of the review.
    held: list[Route] = []
    page.route(
        '**/upgrade',
        lambda route: held.append(route) if route.request.method == 'POST' and not held else route.continue_(),
    )
    page.get_by_role('button', name='Review order').click()
    once(page, lambda: held)
    page.get_by_label('An order number is not required').check()
    held[0].continue_()
    expect(page.get_by_role('heading', level=1)).to_have_text('Review the change order for Dvořák Instruments')
    expect(page.locator('.order-review')).to_contain_text('Ana Lindqvist · ana@northwind.example')
    visitors.expected.append('409')  # a price that changes while it is read is shown before anything is submitted
    portal.aside('await Price.filter(product__code="ENC").update(unit_price="1.37")')
    for read in (False, True):
        page.get_by_label('This change order is governed by').check()
        page.get_by_label('I am authorised to place').check()
        page.get_by_role('button', name='Submit change order').click()
        if not read:
            expect(page.get_by_role('alert').first).to_contain_text('Here it is as it is now')
            expect(page.locator('.order-review-fees')).to_contain_text('1.37')
    expect(page).to_have_url(re.compile(f'/customers/{customer}#orders$'))
    expect(page.locator('#orders')).to_contain_text('it waits, because the vendor has not been told yet')
    expect(page.locator('#orders')).to_contain_text('lead on our side: Ana Lindqvist')
    expect(page.locator('#orders').get_by_role('status')).to_contain_text('was submitted. It takes effect on')
    page.get_by_role('button', name=re.compile('^Passed on: CHG-')).click()
    expect(page.get_by_role('dialog')).to_contain_text('Its day has come: licences and products change now.')
    page.get_by_role('dialog').get_by_role('button', name='Record').click()
    expect(page.locator('#orders .fold-head')).to_be_focused()  # the button is gone with what it was for
    licences = watching.locator('#products .fold-gist')
    expect(licences).to_contain_text(f'{seats + 15} licences', timeout=45_000)
    expect(licences).to_contain_text('ENC')
    page.goto(f'/customers/{customer}/upgrade')
    expect(page.get_by_label('New total of licences')).to_have_value(str(seats + 15))
    expect(page.locator('.upgrade-row')).to_have_count(0)
