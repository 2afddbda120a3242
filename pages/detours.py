"""Addresses that people type, and where they lead."""

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

router = APIRouter(include_in_schema=False)

DETOURS = {
    '/customers': '/customers/in-progress',
    '/noc/': '/noc',
    '/logout': '/',  # signing out is a button: an address that did it could be put into anybody's page
}


def _detour(target: str):
    async def detour() -> Response:
        return RedirectResponse(target, 303)

    return detour


for typed, target in DETOURS.items():
    router.add_api_route(typed, _detour(target), methods=['GET'])
