"""The MSP Portal: its start, in the order in which it happens, and its commands (`python main.py --help`)."""

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from nicegui import app, ui
from nicegui.helpers import is_user_simulation
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import WebSocketRoute
from starlette.staticfiles import StaticFiles

import jobs
from components import live, theme
from models import database
from pages import console, demo_console, detours, errors, guard, links, oidc, proxies, rfi, shell, sign_in, unread, wall
from pages.api import (
    access,
    account,
    attachments,
    connect,
    connect_board,
    customer,
    exports,
    finding,
    health,
    imports,
    mail,
    order_record,
    orders,
    prices,
    prospects,
    readings,
    templates,
    upgrade,
    users,
)
from pages.api import rfi as rfi_routes
from pages.api import settings as settings_routes
from pages.api import ui as ui_routes
from settings import doubtful, misspelt, settings

log = logging.getLogger('portal')
cli = typer.Typer(
    no_args_is_help=False, add_completion=False, pretty_exceptions_enable=False, help='The MSP Portal.',
    context_settings={'help_option_names': ['-h', '--help']},
)  # fmt: skip


# -- the server -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def lifespan_of(inner: Any, application: Any) -> AsyncIterator[Any]:
    """Database, live hub, the server's own start, jobs; and back."""
    async with database.opened():
        if settings().demo:
            from models.demo import load_demo

            await load_demo()
        live.hub.start()
        looking = [asyncio.ensure_future(each) for each in (guard.sweep_forever(), database.condition.watch())]
        timetable = jobs.Timetable()
        if not is_user_simulation():
            await timetable.start()
        try:
            async with inner(application) as state:
                yield state
        finally:
            for task in looking:
                task.cancel()
            await imports.stop()
            live.hub.stop()
            await timetable.stop()


def build() -> None:
    """Put routes, pages and the guard onto the application; again and again in tests, which start anew each time."""
    if not hasattr(app.state, 'inner_lifespan'):
        app.state.inner_lifespan = app.router.lifespan_context
    for router in (
        sign_in.router, links.router, oidc.router, account.router, wall.router, health.router, readings.router,
        ui_routes.router, exports.router, console.router, demo_console.router, access.router, attachments.router,
        customer.router, finding.router, imports.router, settings_routes.router, users.router, detours.router,
        connect.router, connect_board.router, templates.router, prospects.router, orders.router, order_record.router,
        upgrade.router, prices.router, rfi.router, rfi_routes.router,
        mail.router,
    ):  # fmt: skip
        app.include_router(router)
    app.router.routes[:] = [r for r in app.router.routes if getattr(r, 'name', '') not in ('assets', 'live')]
    app.mount('/assets/' + theme.version(), Assets(directory=theme.ASSETS), name='assets')
    app.router.routes.append(WebSocketRoute('/live', live.Socket(), name='live'))
    shell.register()
    errors.register()
    guard.protect_sockets()
    guard.watch_sessions()
    app.add_middleware(guard.Guard, failed=errors.database_failed)
    app.add_middleware(unread.ReadToEnd)
    app.add_middleware(proxies.Proxies)  # added later is asked first
    app.config.socket_io_js_transports = ['websocket']
    # Last: including a router wraps what was there.
    app.router.lifespan_context = lambda application: lifespan_of(app.state.inner_lifespan, application)


class Assets(StaticFiles):
    """Our own assets: their address changes with their content, so a browser may keep them for ever."""

    async def get_response(self, path: str, scope: Any) -> Any:
        response = await super().get_response(path, scope)
        response.headers['Cache-Control'] = 'public, max-age=31536000, immutable'
        return response


class PassedOn:
    """In the place of two HTTP middlewares that `ui.run` adds.

    They log a traceback whenever a browser hangs up early, and each costs every request a task. The guard sets the
    header that one of them is for; the other is for a path prefix, which the portal does not have.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.inner(scope, receive, send)


def run() -> None:
    build()
    for name in ('RedirectWithPrefixMiddleware', 'SetCacheControlMiddleware'):
        setattr(import_module('nicegui.ui_run'), name, PassedOn)
    given = settings()
    app.on_startup(announce)
    ui.run(
        host=given.host, port=given.port, title='MSP Portal', show=False, reload=given.reload, tailwind=False,
        reconnect_timeout=30, binding_refresh_interval=None, ws_per_message_deflate=False, show_welcome_message=False,
        message_history_length=200, favicon=theme.ASSETS / 'icon.svg', dark=None, ws_ping_interval=20,
        uvicorn_logging_level=given.log_level.lower() if given.log_level.lower() == 'debug' else 'warning',
        timeout_graceful_shutdown=3, server_header=False, proxy_headers=False, storage_secret=None,
        gzip_middleware_factory=lambda inner: GZipMiddleware(inner, minimum_size=1000, compresslevel=4),
    )  # fmt: skip


async def announce() -> None:
    """Say where the portal is and, in a demonstration, who can sign in."""
    from models import Partner
    from models.demo import demo_password
    from models.sealed import Unreadable

    given = settings()
    # What stands for every address is none that a browser can open.
    everywhere = {'0.0.0.0': '127.0.0.1', '::': '::1'}.get(given.host)  # nosec B104 # compared with, not listened on
    if given.public_url:  # the one that people use, and whose pages alone may change anything from elsewhere
        say(f'MSP Portal: {given.public_url}/')
    for host in [everywhere, socket.gethostname()] if everywhere else [given.host]:
        what = 'listening on' if given.public_url else 'MSP Portal:'
        say(f'{what} http://{f"[{host}]" if ":" in host else host}:{given.port}/')
    if not await Partner.exists():
        say(f'Nothing is set up yet. Open the address; the set-up code is: {sign_in.set_up_code}')
        return
    try:
        password = await demo_password()
    except Unreadable:
        password = 'cannot be told: the database was made with another PORTAL_SECRET'  # nosec B105 # a sentence
    if password is None:
        return
    if given.demo:
        say('demo sign-ins: ana@northwind.example (administrator), tom@northwind.example (technician, some customers),')
        say('               eve@fabrikam.example (another MSP)')
        say(f'demo password: {password}')
    else:
        say('The demo MSPs and their sign-ins are still in this database. `python main.py remove-demo` removes them.')
    open_at = given.public_url if given.is_published else '' if given.is_loopback else f'{given.host}:{given.port}'
    if open_at:
        say('!' * 100)
        say(f'!! WARNING: demonstration sign-ins are open to everybody who reaches {open_at}.')
        remedy = 'take it from the net' if given.is_published else 'set PORTAL_HOST=127.0.0.1'
        say(f'!! Remove them (`python main.py remove-demo`) or {remedy}, unless you want that.')
        say('!' * 100)


def say(line: str) -> None:
    print(line, flush=True)


def check_port() -> None:
    """End with one line where the address cannot be had; the server itself would say it in twenty."""
    given = settings()
    family = socket.AF_INET6 if ':' in given.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((given.host, given.port))
        except OSError as error:
            sys.exit(f'PORTAL_HOST/PORTAL_PORT: {given.host}:{given.port} cannot be listened on ({error.strerror}).')


def start_logging() -> None:
    logging.basicConfig(
        level=settings().log_level.upper(), format='%(asctime)s %(levelname)s %(name)s: %(message)s', stream=sys.stderr
    )
    for noisy in ('apscheduler', 'tortoise', 'aiosqlite', 'engineio', 'socketio', 'httpx', 'watchfiles'):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # One line for what these repeat as a traceback of their own; the portal logs what it could not do.
    for repeating in ('tortoise', 'asyncpg'):
        logging.getLogger(repeating).setLevel(logging.ERROR)


# -- commands ---------------------------------------------------------------------------------------------------------


def with_database(work: Coroutine[Any, Any, Any], *, begun: bool = False) -> Any:
    """Run a command's work with the database open; what cannot be done ends it with one line.

    `begun`: it is about what is there, and where nothing is, none is made. Who names another folder by mistake would
    be told that all is well of an empty one.
    """

    async def opened() -> Any:
        async with database.opened():
            return await work

    try:
        start_logging()  # which reads the settings, and ends here where one is wrong
        if begun and settings().is_sqlite and not settings().sqlite_path.exists():
            setting = 'PORTAL_DATABASE_URL' if settings().database_url else 'PORTAL_DATA_DIR'
            sys.exit(f'There is no database: {settings().sqlite_path}. {setting} says where it is.')
        return asyncio.run(opened())
    except database.Unusable as error:
        sys.exit(str(error))
    except BrokenPipeError:  # whoever reads what is said has heard enough
        raise
    except database.FAILURES as error:
        if not isinstance(error, OSError) and not database.is_away(error):
            raise
        sys.exit(f'This could not be done: {database.in_short(error)}.')
    except KeyboardInterrupt:
        sys.exit('Stopped. What was stored before stays.')
    finally:
        work.close()  # or Python says of what was never begun that nobody waited for it


@cli.callback(invoke_without_command=True)
def default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        serve()


@cli.command()
def serve() -> None:
    """Start the portal (the default)."""
    start_logging()
    for sentence in (*misspelt(), *doubtful()):
        log.warning(sentence)
    check_port()
    if settings().demo:
        settings().secret_key()  # what is wrong with it is one line here

    async def prepare() -> None:
        async with database.opened():
            pass

    try:
        asyncio.run(prepare())  # what is wrong with the database is one line here and a page of text in the server
    except database.Unusable as error:
        sys.exit(str(error))
    run()


PartnerOption = Annotated[str | None, typer.Option('--partner', help='Short name of the MSP, where there are several.')]


async def partner_named(slug: str | None) -> Any:
    from models import Partner

    partners = await Partner.all().order_by('id')
    if slug is not None:
        partners = [partner for partner in partners if partner.slug == slug]
    if len(partners) == 1:
        return partners[0]
    known = ', '.join(partner.slug for partner in await Partner.all().order_by('id'))
    what = 'Say which MSP with --partner.' if slug is None else f'There is no MSP {slug[:80]!r}.'
    sys.exit(f'{what} There are: {known or "none yet, open the portal first"}.')


@cli.command()
def demo(
    customers: Annotated[int, typer.Option(min=1, max=1_000_000, help='How many customers to make.')] = 1000,
    seed: Annotated[int, typer.Option(help='The same seed makes the same customers.')] = 1,
    partner: PartnerOption = None,
) -> None:
    """Make believable customers, for trying the portal with many."""
    from models import Partner
    from models.demo import load_demo, make_customers

    async def work() -> None:
        await load_demo()
        of_the_demo = 'northwind-it' if await Partner.exists(slug='northwind-it') else None
        owner = await partner_named(partner or of_the_demo)
        with typer.progressbar(length=customers, label='customers', file=sys.stderr) as bar:
            made = await make_customers(
                owner, customers, seed=seed, progress=lambda done, _all: bar.update(done - bar.pos)
            )
        typer.echo(f'{made:,} customers were made for {owner.name}.')

    with_database(work())


@cli.command('import-customers')
def import_customers_command(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help='A CSV file, UTF-8.')],
    all_or_nothing: Annotated[bool, typer.Option(help='Store nothing when a line is refused.')] = False,
    partner: PartnerOption = None,
) -> None:
    """Add customers from a CSV file, or update those whose account code is known."""
    from models.customer_import import import_customers

    async def work() -> Any:
        owner = await partner_named(partner)
        with typer.progressbar(length=100, label='customers', file=sys.stderr) as bar:
            return await import_customers(
                owner, file.read_bytes(), all_or_nothing=all_or_nothing,
                progress=lambda done, all_: bar.update(int(100 * done / max(all_, 1)) - bar.pos),
            )  # fmt: skip

    result = with_database(work())
    for warning in result.warnings:
        typer.echo(f'note: {warning}', err=True)
    for refused in result.refused:
        place = f'line {refused.line}, {refused.column}' if refused.column else f'line {refused.line}'
        typer.echo(f'{place}: {refused.why}', err=True)
    stored = f'{result.added:,} added, {result.updated:,} updated, {result.unchanged:,} unchanged'
    typer.echo(f'{stored}, {len(result.refused):,} refused')
    if result.refused:
        raise typer.Exit(1)


@cli.command('create-user')
def create_user(
    email: Annotated[str, typer.Option(prompt=True)],
    name: Annotated[str, typer.Option(prompt=True)],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
    role: Annotated[str, typer.Option(help='administrator, implementation, technician, sales, finance, read_only')] = (
        'technician'
    ),
    some_customers: Annotated[bool, typer.Option(help='Sees no customers until some are given.')] = False,
    partner: PartnerOption = None,
) -> None:
    """Create somebody who can sign in."""
    from models import PortalRole, PortalUser

    async def work() -> None:
        if role not in list(PortalRole):
            sys.exit(f'--role is one of {", ".join(PortalRole)}.')
        owner = await partner_named(partner)
        try:
            user = await PortalUser.register(
                owner, name=name, email=email, password=password, role=PortalRole(role), sees_all=not some_customers
            )
        except ValueError as error:
            sys.exit(str(error))
        typer.echo(f'{user.email} can sign in ({user.role.value} of {owner.name}).')

    with_database(work())


@cli.command('rotate-keys')
def rotate_keys() -> None:
    """Sign assertions for consoles with a new key; consoles find the old one for 24 hours more."""
    from models import SigningKey

    async def work() -> None:
        key = await SigningKey.rotate()
        typer.echo(f'Assertions are signed with {key.kid} from now on; the key before it stays published for 24 hours.')

    with_database(work())


@cli.command('create-partner')
def create_partner(
    name: Annotated[str, typer.Argument(help='What the MSP is called.')],
    domain: Annotated[str, typer.Option(prompt=True, help='Where the e-mail of its people is: example.com')],
    admin_email: Annotated[str, typer.Option(prompt=True, help='Of its first administrator.')],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
    admin_name: Annotated[str, typer.Option(help='Of its first administrator; else the e-mail address.')] = '',
) -> None:
    """Create an MSP and its first administrator."""
    from models import Partner, PortalRole, PortalUser, checking
    from models.events import transaction
    from models.text import printable

    async def work() -> None:
        if not printable(name):
            sys.exit('The MSP needs a name.')
        try:
            found = checking.domain('domain', domain)
            if not found:
                raise checking.Invalid('domain', 'is empty')
            async with transaction():  # both or neither
                partner = await Partner.set_up(name, domain=found)
                user = await PortalUser.register(
                    partner, name=admin_name, email=admin_email, password=password, role=PortalRole.ADMINISTRATOR
                )
        except checking.Invalid as error:
            sys.exit(f'--domain {error.message}.')
        except ValueError as error:
            sys.exit(str(error))
        typer.echo(f'{partner.name} ({partner.slug}) was created; {user.email} can sign in as its administrator.')

    with_database(work())


@cli.command('remove-demo')
def remove_demo_command(
    yes: Annotated[bool, typer.Option('--yes', help='Do not ask again.')] = False,
    no_backup: Annotated[bool, typer.Option('--no-backup', help='Make no backup before.')] = False,
) -> None:
    """Remove the demo MSPs with everything of them, and start for real; the portal must not be running."""
    from models import backing_up
    from models.demo_removing import remove_demo, what_is_there

    async def work() -> None:
        demo = await what_is_there()
        if not demo.partners:
            sys.exit('There is no demo in this database.')
        names = ' and '.join(partner.name for partner in demo.partners)
        typer.echo(f'{names} would be removed, with {demo.customers:,} customers, for good.')
        if demo.added_customers or demo.added_people:
            typer.echo(f'Somebody added to them – customers: {demo.added_customers:,}, people: {demo.added_people:,}.')
        if not yes:
            typer.confirm('Remove them?', abort=True)
        if not no_backup:
            try:
                made = await backing_up.back_up()
            except backing_up.NotMade as error:
                sys.exit(f'Nothing was removed, because no backup could be made: {error}')
            if made is not None:
                typer.echo(f'A backup is in {made.path}.')
        with typer.progressbar(length=demo.customers, label='customers', file=sys.stderr) as bar:
            await remove_demo(lambda done: bar.update(done - bar.pos))
        typer.echo('The demo was removed, and does not come back by itself.')

    with_database(work(), begun=True)


@cli.command('create-token')
def create_token(
    name: Annotated[str, typer.Option(help='What the token is for.')] = 'readings', partner: PartnerOption = None
) -> None:
    """Create a bearer token for POST /api/v1/readings; it is shown once."""
    from models import ApiToken

    async def work() -> None:
        typer.echo(await ApiToken.issue(await partner_named(partner), name))

    with_database(work())


@cli.command('verify-history')
def verify_history(partner: PartnerOption = None) -> None:
    """Find entries of the history that were changed, added or removed behind the portal's back."""
    from tortoise.connection import get_connection

    from models.history_verifying import Finding, count, missing_triggers, verify

    async def work() -> tuple[list[Finding], list[str], tuple[int, int]]:
        owner = await partner_named(partner) if partner else None
        numbers = await count(owner and owner.id)
        with typer.progressbar(length=numbers[0], label='entries', file=sys.stderr) as bar:
            found = await verify(owner and owner.id, lambda done, _all: bar.update(done - bar.pos))
        return found, await missing_triggers(get_connection('default')), numbers

    findings, missing, (entries, chains) = with_database(work(), begun=True)
    for found in findings:
        typer.echo(str(found))
    for trigger in missing:
        typer.echo(f'the database no longer protects the history: the trigger {trigger} is missing or switched off')
    if findings or missing:
        raise typer.Exit(1)
    in_all = (
        f'{entries:,} {"entry" if entries == 1 else "entries"} in {chains:,} {"chain" if chains == 1 else "chains"}'
    )
    typer.echo(f'{in_all}: all as written')


@cli.command('erase-history')
def erase_history(
    entries: Annotated[list[int], typer.Argument(min=1, metavar='ENTRY…', help='Numbers of entries.')],
    because: Annotated[str, typer.Option(help='Who asked for it, and when; it stays in the history.')],
    by: Annotated[str, typer.Option(help='E-mail address of the administrator who erases.')],
    yes: Annotated[bool, typer.Option('--yes', help='Do not ask again.')] = False,
) -> None:
    """Erase the texts of entries for good, on request; that they were erased is written down."""
    from models import HistoryEvent, PortalUser
    from models.rights import Refused

    async def work() -> None:
        user = await PortalUser.get_or_none(email=by.strip().lower())
        if user is None or not user.is_active:
            sys.exit(f'Nobody signs in as {by[:80]!r}.')
        for entry in dict.fromkeys(entries):
            try:
                await HistoryEvent.erase(entry, partner_id=user.partner_id, because=because, by=user)
            except (Refused, HistoryEvent.Unknown, HistoryEvent.NotErasable) as error:
                sys.exit(f'Entry {entry}: {error}')
            typer.echo(f'The text of entry {entry} was erased.')

    if not yes:
        typer.confirm(f'Erase the texts of {len(set(entries)):,} entries? They cannot be brought back.', abort=True)
    with_database(work())


@cli.command('backup')
def backup_command(
    to: Annotated[
        Path | None, typer.Option('--to', file_okay=False, help='Folder for it; PORTAL_BACKUP_DIR if not given.')
    ] = None,
) -> None:
    """Back up database and attachments into one file, also while the portal is running, and read it back."""
    from models import backing_up

    async def work() -> backing_up.Made | None:
        return await backing_up.back_up(to)

    try:
        made = with_database(work(), begun=True)
    except backing_up.NotMade as error:
        sys.exit(str(error))
    sealed = 'encrypted' if made.is_encrypted else 'not encrypted: PORTAL_BACKUP_KEY is empty'
    typer.echo(f'{made.path} ({made.size / 1e6:,.1f} MB, {sealed})')
    if made.missing:
        typer.echo(f'note: {made.missing:,} files that the database names are missing from the data folder', err=True)


BackupFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help='A backup.')]


@cli.command('verify-backup')
def verify_backup(file: BackupFile) -> None:
    """Read all of a backup, and say whether it is whole and what is in it."""
    from models import backing_up
    from models.backup_archive import NotReadable

    start_logging()
    given = settings()
    try:
        found = backing_up.verify(file, given.backup_key.get_secret_value(), given)
    except NotReadable as error:
        with contextlib.suppress(database.Unusable, *database.FAILURES):  # it is said here in any case
            asyncio.run(backing_up.tell_unreadable(file, str(error), given))
        sys.exit(str(error))
    except backing_up.NotMade as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f'{error.filename or given.data_dir} cannot be used: {error.strerror}.')
    typer.echo(f'whole: {found.in_words()}')
    for line in found.manifest['named']:
        typer.echo(f'note: when it was made, {line}', err=True)


@cli.command('restore')
def restore_command(
    file: BackupFile,
    force: Annotated[
        bool, typer.Option('--force', help='Also in the place of what is there, which is kept beside it.')
    ] = False,
) -> None:
    """Restore a backup onto a clean machine; the portal must not be running."""
    from models.backup_archive import NotReadable
    from models.restoring import NotRestored, restore

    start_logging()
    try:
        restored = asyncio.run(restore(file, settings(), force=force, told=lambda said: typer.echo(said, err=True)))
    except (NotRestored, NotReadable) as error:
        sys.exit(f'{error} Nothing was changed.')
    except KeyboardInterrupt:
        sys.exit('Stopped.')
    typer.echo(f'restored: {restored.contents.in_words()}')
    for place in restored.kept:
        typer.echo(f'What was there before is kept: {place}')
    typer.echo('Everybody has to sign in again. Mails that were waiting are not sent; invite people anew.')
    for sentence in filter(None, (restored.secret, restored.contents.doubt(settings()))):
        typer.echo(f'!! {sentence}')


if is_user_simulation():  # a page test runs this file anew with its own arguments on the command line
    build()
    ui.run(storage_secret=None, tailwind=False, binding_refresh_interval=None, reconnect_timeout=30)
elif __name__ == '__main__':
    with contextlib.suppress(BrokenPipeError):
        cli()
elif __name__ == '__mp_main__' and os.environ.get('PORTAL_RELOAD'):  # the child that `make dev` restarts
    start_logging()
    run()
