// The dashboard: four numbers with a trend, what needs attention now, what is stuck in Connect; and the pieces that the
// wall shares with it.
import { ago, clock, exact, h, live, number, parseTime } from './live.js';
import { HEALTH, shape, stateIcon } from './icons.js';
import { glyph } from './glyphs.js';
import { read } from './tips.js';

export function mount(root, config) {
  const board = new Board(root, config);
  return { destroy: () => board.destroy() };
}

const TRENDS_PAUSE = 30000; // ms at least between two readings of the trends

class Board {
  constructor(root, config) {
    this.root = root;
    this.overview = null;
    this.trends = {};
    this.trendsAt = 0;
    this.build();
    this.undo = [
      live.on('overview', (overview) => this.show(overview)),
      live.on('again', () => { this.load(); this.loadTrends(); }),
    ];
    this.timers = [setInterval(() => this.showTimes(), 15000)];
    // A line must not change between press and release: the click would be lost, or another's.
    this.root.addEventListener('pointerdown', () => { this.isPressed = true; });
    const released = () => setTimeout(() => { this.isPressed = false; this.showTimes(); }, 0);
    for (const event of ['pointerup', 'pointercancel']) {
      addEventListener(event, released);
      this.undo.push(() => removeEventListener(event, released));
    }
    if (config.overview) this.show(config.overview);
    live.watch('overview');
    this.loadTrends();
  }

  destroy() {
    live.watch(null);
    this.undo.forEach((undo) => undo());
    this.timers.forEach(clearInterval);
    clearTimeout(this.trendsTimer);
  }

  async load() {
    try {
      this.show(await read(await fetch('/api/ui/overview', { cache: 'no-store', signal: AbortSignal.timeout(15000) })));
    } catch { /* the live dot says that there is no connection */ }
  }

  async loadTrends() {
    clearTimeout(this.trendsTimer);
    this.trendsTimer = null;
    this.trendsAt = Date.now();
    try {
      const response = await fetch('/api/ui/trends', { cache: 'no-store' });
      if (!response.ok) return;
      this.trends = await response.json();
      this.showTrends();
    } catch { /* a missing trend says nothing false */ }
  }

  trendsSoon() {
    this.trendsTimer ||= setTimeout(() => this.loadTrends(), Math.max(0, this.trendsAt + TRENDS_PAUSE - Date.now()));
  }

  // A trend ends in the number beside it, whenever it was read.
  showTrends() {
    for (const [name, figure] of Object.entries(this.figures)) {
      const points = this.trends[name];
      if (points) figure.trend(this.overview ? [...points.slice(0, -1), this.overview[name]] : points);
    }
  }

  build() {
    this.figures = {
      total: figure('Customers', 'last 30 days'),
      in_connect: figure('In Connect', 'last 30 days'),
      seats: figure('Licences', 'last 30 days'),
      prospects: figure('Pending prospects', 'last 30 days'),
      bad: figure('Customers with a problem', 'last 24 hours'),
    };
    this.attention = h('ul', { class: 'lines' });
    this.stuck = h('ul', { class: 'lines' });
    this.signals = h('div', { class: 'signals' });
    this.attentionCount = h('span', { class: 'quiet small' });
    this.stuckCount = h('span', { class: 'quiet small' });
    this.root.append(
      h('section', { class: 'figures', 'aria-label': 'Numbers' }, ...Object.values(this.figures).map((f) => f.box)),
      h('section', { class: 'card', 'aria-label': 'Signals' }, this.signals),
      h('div', { class: 'board' },
        h('section', { class: 'card', 'aria-labelledby': 'attention' }, h('div', { class: 'card-head' }, h('h2', { id: 'attention' }, 'Needs attention now'), this.attentionCount), this.attention),
        h('section', { class: 'card', 'aria-labelledby': 'stuck' }, h('div', { class: 'card-head' }, h('h2', { id: 'stuck' }, 'Stuck in Connect'), h('span', { class: 'card-head-more' }, this.stuckCount, h('a', { class: 'small', href: '/connect' }, 'Board'))), this.stuck)),
    );
  }

  show(overview) {
    if (this.overview) this.trendsSoon();
    this.overview = overview;
    this.showTimes();
    this.showTrends();
  }

  showTimes() {
    if (!this.overview || this.isPressed) return;
    const { total, in_progress, in_connect, complete, waiting, seats, bad, monitored } = this.overview;
    const { worst, worst_more, stuck, stuck_more } = this.overview;
    const shown = worst.slice(0, 12);
    const more = worst.length - shown.length + worst_more;
    this.figures.total.show(total, [link('/customers/complete', `${number(complete)} live`)]);
    this.figures.in_connect.show(in_connect, [
      link('/customers/in-progress', `${number(in_progress)} in progress`), ' · ',
      link('/customers/waiting', `${number(waiting)} waiting for ${waiting === 1 ? 'its' : 'their'} RFI`),
    ]);
    this.figures.in_connect.note(standing(this.overview));
    this.figures.seats.show(seats, ['over all customers']);
    this.figures.prospects.show(this.overview.prospects, [link('/prospects', 'without an order yet')]);
    this.figures.bad.show(bad, [`of ${number(monitored)} monitored`], bad > 0);
    morph(this.signals, h('div', { class: 'signals' }, ...this.overview.signals.map(signal)));
    this.attentionCount.textContent = more > 0 ? `${shown.length} of ${number(shown.length + more)} signals` : '';
    patch(this.attention, shown.map(problemLine), 'Nothing needs attention.');
    this.stuckCount.textContent = stuck_more > 0 ? `${stuck.length} of ${number(stuck.length + stuck_more)}` : '';
    patch(this.stuck, stuck.map(stuckLine), 'Nobody is stuck.');
  }
}

const link = (href, text) => h('a', { href }, text);

// What of Connect wants somebody, each a way onto the board.
function standing({ overdue, blocked, held }) {
  const parts = [[overdue, 'overdue', 'overdue', true], [blocked, 'blocked', 'blocked', true], [held, 'held', 'on hold', false]].filter(([amount]) => amount > 0)
    .map(([amount, state, word, isBad]) => h('a', { href: `/connect?state=${state}`, class: isBad ? 'tone-bad' : null }, `${number(amount)} ${word}`));
  return h('span', { class: 'figure-note' }, ...(parts.length ? parts : [h('a', { href: '/connect' }, 'Nothing overdue or blocked')]).flatMap((part, place) => (place ? [' · ', part] : [part])));
}

function figure(name, about) {
  const value = h('span', { class: 'figure-value' }, '–');
  const more = h('span', { class: 'figure-more' });
  const trend = h('span', { class: 'trend' });
  const note = h('span', { class: 'figure-note', hidden: true });
  const box = h('div', { class: 'card figure' }, h('span', { class: 'figure-name' }, name), value, trend, more, note);
  return {
    box,
    show(amount, text, isBad = false) {
      box.classList.toggle('has-bad', isBad);
      morph(value, h('span', { class: 'figure-value' }, isBad ? stateIcon(HEALTH[0], 'Problem') : '', number(amount)));
      morph(more, h('span', { class: 'figure-more' }, ...text));
    },
    note(content) { morph(note, content); },
    trend(points) { trend.replaceChildren(points.length > 1 ? spark(points, about) : ''); },
  };
}

// -- changing what is shown without taking it away: who has the focus on it keeps it ------------------------------------

function morph(now, next) {
  if (now.isEqualNode(next)) return;
  if (now.nodeName !== next.nodeName) return now.replaceWith(next);
  if (now.nodeType === Node.TEXT_NODE) {
    now.data = next.data;
    return;
  }
  for (const { name } of [...now.attributes]) if (!next.hasAttribute(name)) now.removeAttribute(name);
  for (const { name, value } of next.attributes) if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  const before = [...now.childNodes];
  const after = [...next.childNodes];
  after.forEach((child, index) => (before[index] ? morph(before[index], child) : now.append(child)));
  before.slice(after.length).forEach((child) => child.remove());
}

// The lines of a list, each known by its key; one that is still there stays the same element.
function patch(list, lines, none) {
  if (!lines.length) lines = [h('li', { class: 'calm' }, none)];
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const wanted = new Set(lines.map((line) => line.dataset.key));
  const known = new Map();
  for (const line of [...list.children]) {
    if (wanted.has(line.dataset.key)) known.set(line.dataset.key, line);
    else line.remove();
  }
  let place = list.firstElementChild;
  for (const line of lines) {
    const here = known.get(line.dataset.key);
    if (here) morph(here, line);
    if (here && here === place) place = place.nextElementSibling;
    else list.insertBefore(here || line, place);
  }
  if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

function spark(points, about) {
  const [low, high] = [Math.min(...points), Math.max(...points)];
  const y = (value) => (high === low ? 50 : 92 - (84 * (value - low)) / (high - low));
  const x = (index) => (100 * index) / (points.length - 1);
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 100 100');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('class', 'spark');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `${about}: from ${number(points[0])} to ${number(points.at(-1))}, highest ${number(high)}`);
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  line.setAttribute('d', points.map((value, index) => `${index ? 'L' : 'M'}${x(index).toFixed(1)} ${y(value).toFixed(1)}`).join(''));
  svg.append(line);
  return h('span', { title: about }, svg);
}

function signal(counts) {
  const part = (amount, state, always) => (amount || always) && h('span', { title: state.word }, stateIcon(state), number(amount));
  return h('div', { class: 'signal' }, glyph(counts.kind), counts.title, h('span', { class: 'signal-counts' },
    part(counts.bad, HEALTH[0]), part(counts.unknown, HEALTH[2]), part(counts.old, HEALTH[3]), part(counts.good, HEALTH[4], true)));
}

export function amount(problem) {
  if (problem.value == null) return 'Error';
  return problem.threshold != null ? `${number(problem.value)} / ${number(problem.threshold)}` : number(problem.value);
}

function problemLine(problem) {
  const since = parseTime(problem.since);
  return line(problem, problem.kind, stateIcon(HEALTH[problem.is_old ? 1 : 0]), problem.title + (problem.reason ? ` – ${problem.reason}` : ''),
    amount(problem), since && h('span', { title: exact(since) }, `since ${clock(since)} (${ago(since)})`));
}

function stuckLine(customer) {
  const since = parseTime(customer.since);
  const icon = h('span', { class: customer.because ? 'tone-bad' : 'tone-good' }, shape(customer.because ? 'bad' : 'clock'));
  return line(customer, 'stuck', icon, customer.because ? `Blocked: ${customer.because}` : 'No movement',
    customer.step, since && h('span', { title: exact(since) }, `for ${ago(since)}`));
}

function line(customer, what, icon, about, side, time) {
  return h('li', { class: 'line', 'data-key': `${customer.customer_id} ${what}` }, icon,
    h('span', {}, h('a', { class: 'line-name', href: `/customers/${customer.customer_id}`, title: customer.name }, customer.name), h('span', { class: 'line-what', title: about }, about)),
    h('span', { class: 'line-side' }, h('b', {}, side), time || ''));
}
