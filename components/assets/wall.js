// The wall: nobody touches it for months, and it must never show a lie. It lives on live.js alone, without the page
// framework: it greys itself and says since when, by its own clock, and is right again by itself.
import { ago, clock, h, inZone, live, number, parseTime } from './live.js';
import { HEALTH, shape, stateIcon } from './icons.js';
import { glyph } from './glyphs.js';
import { amount } from './board.js';

const root = document.getElementById('wall');
const OLD_NUMBERS = 75000; // ms: the server makes the numbers anew every 30 s even when nothing changes
// Names that can be read from afar on one line.
const SHORT = {
  inbound_queue: 'Inbound queue', outbound_queue: 'Outbound queue', journal_queue: 'Journal queue',
  journal_connector: 'Journal connector', directory_connector: 'AD connector',
};
let overview = null;
let madeAt = 0;

const time = h('time', { class: 'wall-clock' });
const banner = h('div', { class: 'wall-banner', role: 'alert', hidden: true });
const counts = h('section', { class: 'wall-counts', 'aria-label': 'Counts' });
const signals = h('section', { class: 'wall-signals', 'aria-label': 'Signals' });
const bad = h('section', { class: 'wall-bad', 'aria-label': 'Problems now' });
const stuck = h('section', { class: 'wall-stuck', 'aria-label': 'Stuck in Connect' });
root.append(h('header', { class: 'wall-head' }, root.dataset.logo && h('img', { class: 'wall-logo', src: root.dataset.logo, alt: '' }), h('h1', {}, root.dataset.partner), time), banner, counts, signals, h('div', { class: 'wall-columns' }, bad, stuck));

function count(name, value, tone) {
  const figure = h('span', { class: 'wall-value' }, tone ? shape(tone === 'bad' ? 'bad' : 'unknown') : '', number(value));
  figure.style.setProperty('--long', number(value).length + (tone ? 1.9 : 0)); // the icon and its space
  return h('div', { class: `wall-count ${tone ? 'tone-' + tone : ''}` }, figure, h('span', { class: 'wall-name' }, name));
}

function show() {
  if (!overview) return;
  const unknown = overview.signals.reduce((sum, s) => sum + s.unknown + s.old, 0);
  counts.replaceChildren(count('Customers', overview.total), count('Live', overview.complete), count('In Connect', overview.in_connect), count('With a problem', overview.bad, overview.bad ? 'bad' : ''), count('Signals not known', unknown, unknown ? 'unknown' : ''));
  signals.replaceChildren(...overview.signals.map((s) => h('div', { class: 'wall-signal' }, glyph(s.kind), h('span', { class: 'wall-signal-name', title: s.title }, SHORT[s.kind] || s.title), h('span', { class: 'wall-tally' },
    h('span', { class: s.bad ? 'tone-bad' : 'tone-calm' }, shape(s.bad ? 'bad' : 'good'), number(s.bad || s.good), h('span', { class: 'sr-only' }, s.bad ? ' bad' : ' good')),
    s.unknown + s.old ? h('span', { class: 'tone-unknown' }, shape('unknown'), number(s.unknown + s.old), h('span', { class: 'sr-only' }, ' not known')) : ''))));
  lines(bad, 'Problems now', overview.worst, overview.worst_more, (p) => [stateIcon(HEALTH[p.is_old ? 1 : 0]), p.name, p.title + (p.reason ? ` – ${p.reason}` : ''), p.value == null ? '' : amount(p), since(p.since)], 'No problems.');
  lines(stuck, 'Stuck in Connect', overview.stuck, overview.stuck_more, (c) => [h('span', { class: c.because ? 'tone-bad' : 'tone-good' }, shape(c.because ? 'bad' : 'clock')), c.name, c.because ? `${c.step} – ${c.because}` : c.step, '', parseTime(c.since) ? ago(parseTime(c.since)) : ''], 'Nobody is stuck.');
  document.title = overview.bad ? `${overview.bad} bad – MSP Portal` : 'Wall – MSP Portal';
}

function since(text) {
  const at = parseTime(text);
  return at ? `${clock(at)} · ${ago(at)}` : '';
}

// As many lines as there is room for, and how many more there are.
function lines(section, title, items, more, cells, none) {
  const rows = items.map((item) => {
    const [icon, name, what, value, when] = cells(item);
    return h('div', { class: 'wall-line' }, icon, h('span', { class: 'wall-who' }, name), h('span', { class: 'wall-what' }, what), h('span', { class: 'wall-side' }, value && h('b', {}, value), h('span', {}, when)));
  });
  const rest = h('div', { class: 'wall-more' });
  section.replaceChildren(h('h2', {}, title), ...rows, rest, items.length ? '' : h('div', { class: 'wall-calm' }, none));
  let left = more;
  const tell = () => { rest.hidden = !left; rest.textContent = `+${number(left)} more`; };
  tell();
  while (section.scrollHeight > section.clientHeight + 1 && rows.length > 1) {
    rows.pop().remove();
    left++;
    tell();
  }
}

function tick() {
  const now = new Date(live.now());
  time.textContent = now.toLocaleTimeString('en-GB', inZone({}));
  time.dateTime = now.toISOString();
  const old = madeAt && Date.now() - madeAt > OLD_NUMBERS;
  const known = live.state === 'live' && overview && !old;
  document.documentElement.dataset.stale = known ? 'no' : 'yes';
  const wasHidden = banner.hidden;
  banner.hidden = Boolean(known);
  if (!known) {
    const from = old && live.state === 'live' ? madeAt : live.since;
    banner.textContent = overview ? `Stale since ${new Date(from).toLocaleTimeString('en-GB', inZone({}))} – ${live.away ? 'the database is away' : 'reconnecting'}` : 'Connecting …';
  }
  if (banner.hidden !== wasHidden) show(); // there is more or less room for lines now
}

async function load() {
  try {
    const response = await fetch('/api/ui/overview', { cache: 'no-store', signal: AbortSignal.timeout(4000) });
    if (response.ok) take(await response.json());
  } catch { /* the banner says so */ }
}

function take(message) {
  overview = message;
  madeAt = Date.now();
  show();
  tick();
}

live.on('overview', take);
live.on('again', load);
live.on('state', (state) => { tick(); if (state === 'live') load(); });
live.watch('overview');
setInterval(tick, 250);
setInterval(show, 20000);
addEventListener('resize', show);
navigator.wakeLock?.request('screen').catch(() => {});
tick();
load();
