// The frame around every page: menu, theme, the live dot, the title, and what happens when the page framework's own
// connection is cut (its pop-up and its reload into a browser error are switched off here).
import { ago, h, inZone, live } from './live.js';

const root = document.documentElement;

// A list that is made before the framework (table.js) is painted before the framework takes the browser for itself, which
// it does for a quarter of a second; at the latest when it has had its time.
const LONGEST_PAINT = 700; // ms
if (document.getElementById('early-table') && window.createApp) {
  const painted = new Promise((resolve) => { window.portalPainted = resolve; setTimeout(resolve, LONGEST_PAINT); });
  const create = window.createApp;
  window.createApp = (...given) => {
    const app = create(...given);
    const mount = app.mount.bind(app);
    app.mount = (place) => painted.then(() => {
      mount(place);
      isMounted = true;
      if (waits) emit(...waits);
    });
    return app;
  };
  // Back and Forward before that are told to it then: it fails over what it hears sooner.
  let isMounted = false;
  let waits = null;
  const emit = window.emitEvent;
  window.emitEvent = (...given) => { isMounted ? emit(...given) : (waits = given); };
}

// -- Back: whether a page was reached by it, so that a list can restore its place ---------------------------------------
addEventListener('popstate', () => { window.portalCameBack = true; }, true);
document.addEventListener('click', (event) => { if (event.target.closest?.('a[href]')) window.portalCameBack = false; }, true);
window.portalCameBack = performance.getEntriesByType('navigation')[0]?.type !== 'navigate';

window.portalLeave = live.leave; // for the server, when it ends a session

// -- menu ---------------------------------------------------------------------------------------------------------------
function drawer(open) {
  const panel = document.getElementById('menu');
  if (!panel) return;
  panel.hidden = !open;
  document.getElementById('menu-shade').hidden = !open;
  document.getElementById('menu-button').setAttribute('aria-expanded', String(open));
  if (open) panel.querySelector('a')?.focus();
}
document.addEventListener('click', (event) => {
  if (event.target.closest('#find-button')) findAnything();
  if (event.target.closest('#menu-button')) drawer(document.getElementById('menu').hidden);
  else if (event.target.closest('#menu-shade, #menu a')) drawer(false);
  const chosen = event.target.closest('[data-choose-theme]');
  if (chosen) chooseTheme(chosen.dataset.chooseTheme);
  for (const menu of document.querySelectorAll('details.menu[open]')) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener('keydown', (event) => {
  const menu = event.target.closest?.('details.menu[open]');
  if (event.key === 'Escape' && menu) {
    menu.open = false;
    menu.querySelector('summary').focus();
  } else if (event.key === 'Escape' && document.getElementById('menu')?.hidden === false) {
    drawer(false);
    document.getElementById('menu-button').focus();
  }
  if (event.key === 'Tab' && event.shiftKey && event.target === document.querySelector('#menu a')) {
    event.preventDefault(); // the drawer is far from its button in the page, and next to it on the screen
    document.getElementById('menu-button').focus();
  }
  if (event.key.toLowerCase() === 'k' && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey) {
    event.preventDefault(); // some browsers have a search of their own there
    findAnything();
  }
  if (event.key === '/' && !/INPUT|TEXTAREA|SELECT/.test(document.activeElement?.tagName)) {
    const search = document.getElementById('search');
    if (search) { event.preventDefault(); search.focus(); }
  }
});
// The search over everything is loaded when it is first asked for: no page's first paint waits for it.
function findAnything() {
  drawer(false);
  import('./find.js').then((found) => found.show()).catch(() => { location.href = '/customers/complete'; }); // a list can be searched as well
}
// Whoever goes on by keyboard leaves what is open behind, and it must not lie over what has the focus now.
document.addEventListener('focusout', ({ target, relatedTarget: next }) => {
  if (!next) return;
  const menu = target.closest('details.menu[open]');
  // Not where the focus goes to what the menu stands in: a press on a label's text does that before it ticks its box, and a
  // menu that closes meanwhile takes the press, and some browsers the tab, with it.
  if (menu && !menu.contains(next) && !next.contains(menu)) menu.open = false;
  if (target.closest('#menu') && !next.closest('#menu, #menu-button')) drawer(false);
});

// -- theme ----------------------------------------------------------------------------------------------------------------
function chooseTheme(theme) {
  root.dataset.theme = theme;
  try { localStorage.portalTheme = theme; } catch { /* only the next first paint is affected */ }
  showTheme();
  fetch('/api/ui/theme', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ theme }) }).catch(() => {});
}
function showTheme() {
  for (const button of document.querySelectorAll('[data-choose-theme]')) button.setAttribute('aria-pressed', String(button.dataset.chooseTheme === root.dataset.theme));
}

// -- where we are -----------------------------------------------------------------------------------------------------------
let openedLast = null;
function keepOpened() { // for the search over everything (find.js), which shows them before anything is typed
  const id = Number(/^\/customers\/(\d{1,9})$/.exec(location.pathname)?.[1]);
  if (!id || id === openedLast) return;
  openedLast = id;
  try {
    const before = JSON.parse(localStorage.portalOpened || '[]');
    localStorage.portalOpened = JSON.stringify([id, ...before.filter((one) => one !== id)].slice(0, 8));
  } catch { /* nothing is kept */ }
}
function showPlace() {
  showDot();
  keepOpened();
  for (const link of document.querySelectorAll('#menu a')) {
    const here = link.pathname === location.pathname;
    here ? link.setAttribute('aria-current', 'page') : link.removeAttribute('aria-current');
  }
  showTitle();
}
// A page that was reached from another one begins at its heading, for the keyboard and for screen readers.
let heading = null;
let headed = '';
function showHeading() {
  const now = document.querySelector('h1');
  if (!now || now === heading || !now.textContent) return;
  const moved = heading && headed !== now.textContent;
  [heading, headed] = [now, now.textContent];
  const focused = document.activeElement;
  if (!moved || (focused !== document.body && focused?.checkVisibility())) return;
  now.tabIndex = -1;
  now.focus({ preventScroll: true });
}
function showTitle() {
  const page = document.querySelector('h1')?.textContent?.trim();
  const name = (page && page !== 'MSP Portal' ? page + ' – ' : '') + 'MSP Portal';
  document.title = (live.bad ? `${live.bad} bad – ` : '') + name;
}
new MutationObserver(() => { showPlace(); showTheme(); showHeading(); }).observe(document.body, { childList: true, subtree: true });
live.on('bad', showTitle);

// -- the live dot -----------------------------------------------------------------------------------------------------------
function showDot() {
  const dot = document.getElementById('live-dot');
  if (!dot) return;
  const s = Math.round((Date.now() - live.since) / 1000);
  const time = new Date(live.since).toLocaleTimeString('en-GB', inZone({ hour: '2-digit', minute: '2-digit' }));
  const text = live.state === 'live' ? 'Live' : live.state === 'stale' && live.away ? 'Database away' : live.state === 'stale' ? `Stale since ${time}` : s < 1 ? 'Connecting' : `Reconnecting ${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`;
  if (dot.textContent !== text) dot.textContent = text;
  dot.classList.toggle('is-long', text.length > 10); // on a phone it has a line of its own, or nothing were left of the name
}
live.on('state', showDot);
setInterval(showDot, 1000);

// -- the framework's socket -------------------------------------------------------------------------------------------------
// Pages are live without it; it is needed for moving about. When the server has been restarted it no longer knows this
// page: links then load in full, and the page renews itself at a quiet moment, each at another one.
let lost = false;
const find = setInterval(() => {
  const socket = window.socket;
  if (!socket) return;
  clearInterval(find);
  socket.off('connect_error');
  socket.off('disconnect');
  socket.off('try_reconnect');
  socket.io.reconnectionDelayMax(1500);
  socket.on('connect_error', (error) => { if (/handshake/i.test(error.message)) lose(); });
  socket.on('try_reconnect', lose);
}, 20);

function lose() {
  if (lost) return;
  lost = true;
  const renew = () => {
    const typing = document.querySelector('dialog[open]') || (/INPUT|TEXTAREA/.test(document.activeElement?.tagName) && document.activeElement.value);
    if (live.state === 'live' && !typing) location.reload();
    else setTimeout(renew, 2000 + Math.random() * 3000);
  };
  setTimeout(renew, 3000 + Math.random() * (document.hidden ? 60000 : 20000));
}

// One's own role or sight has changed: menu, rights and rows of this page are another's. It begins anew at once, but takes
// nobody's words away: what is being typed in a dialog can be sent first, and is refused where it has to be.
let another = false;
live.on('me', () => {
  if (another) return;
  another = true;
  const renew = () => (document.querySelector('dialog[open] form') ? setTimeout(renew, 500) : location.reload());
  renew();
});

// To an address in full; while the server is away, as soon as it is back: never onto the browser's error page.
let wanted = null;
async function go(address) {
  wanted = address;
  if (live.state !== 'live') {
    try {
      if (!(await fetch('/healthz', { cache: 'no-store', signal: AbortSignal.timeout(2000) })).ok) return;
    } catch { return; /* it is away */ }
  }
  if (wanted === address) location.href = address;
}
live.on('state', (state) => { if (state === 'live' && wanted) location.href = wanted; });

document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href^="/"]');
  if (!link || link.dataset.letter !== undefined || link.target === '_blank' || link.hasAttribute('download') || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (lost || !window.socket?.connected || live.state === 'stale') {
    event.stopImmediatePropagation();
    event.preventDefault();
    go(link.href);
  }
}, true);

// Signing out leads to sign-in by itself; the news that the session is over must not overtake it.
document.addEventListener('submit', (event) => { if (event.target.getAttribute('action') === '/logout') live.quit(); });

// -- the MSP's name and logo: changed by one administrator, and everybody's pages follow -----------------------------------
const FACE_PAUSE = 3000; // ms
async function showFace() {
  try {
    const response = await fetch('/api/ui/partner', { cache: 'no-store', signal: AbortSignal.timeout(10000) });
    if (!response.ok) return;
    const { name, logo } = await response.json();
    const shown = document.querySelector('#brand .brand-face');
    if (!shown || (shown.textContent === name && (shown.querySelector('img')?.getAttribute('src') || '') === logo)) return;
    shown.replaceChildren(...(logo ? [h('img', { class: 'brand-logo', src: logo, alt: '' })] : []), h('span', { class: 'brand-name', dir: 'auto', title: name }, name));
    document.getElementById('brand').setAttribute('aria-label', `MSP Portal, ${name}`);
  } catch { /* the next page that is opened has it */ }
}
let faceIsDue = null;
let faceShown = 0;
live.news(() => { // not all pages at once, and no page again and again
  faceIsDue ||= setTimeout(() => {
    faceIsDue = null;
    faceShown = Date.now();
    showFace();
  }, Math.max(Math.random() * 500, faceShown + FACE_PAUSE - Date.now()));
}, 'settings');

showTheme();
showPlace();
showDot();
showHeading();
export { ago };
