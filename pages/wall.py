"""The wall: a page of its own, without the page framework, because nobody is there to reload it."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from components import theme
from models import Partner
from pages.guard import user_of
from pages.settings_page import logo_of
from pages.sign_in import templates

router = APIRouter(include_in_schema=False)


@router.get('/favicon.ico')
async def favicon() -> Response:
    return RedirectResponse(theme.asset('icon.svg'))


@router.get('/noc')
async def wall_page(request: Request) -> Response:
    user = user_of(request)
    partner = await Partner.get(id=user.partner_id)
    html = templates.get_template('wall.html').render(
        head=theme.head(modules=('live.js', 'wall.js')), partner=partner.name, css=theme.asset('wall.css'),
        script=theme.asset('wall.js'), zone=user.time_zone, logo=logo_of(partner),
    )  # fmt: skip
    return HTMLResponse(html, headers={'Cache-Control': 'no-store'})
