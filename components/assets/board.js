// The dashboard: four numbers with a trend, what needs attention now, what is stuck in Connect; and the pieces that the
// wall shares with it.
import { ago, clock, exact, h, live, number, parseTime } from './live.js';
import { HEALTH, shape, stateIcon } from './icons.js';
import { glyph } from './glyphs.js';

export function mount(root, config) {
  const board = new Board(root, config);
  return { destroy: () => board.destroy() };
}

class Board {
  constructor(root, config) {
    this.root = root;
    this.overview = null;
    this.trends = {};
    this.build();
    this.undo = [
      live.on('overview', (overview) => this.show(overview)),
      live.on('again', () => { this.load(); this.loadTrends(); }),
    ];
    this.timers = [setInterval(() => this.overview && this.showTimes(), 15000), setInterval(() => this.loadTrends(), 300000)];
    if (config.overview) this.show(config.overview);
    live.watch('overview');
    this.loadTrends();
  }

  destroy() {
    live.watch(null);
    this.undo.forEach((undo) => undo());
    this.timers.forEach(clearInterval);
  }

  async load() {
    try {
      this.show(await (await fetch('/api/ui/overview', { cache: 'no-store' })).json());
    } catch { /* the live dot says that there is no connection */ }
  }

  async loadTrends() {
    try {
      const response = await fetch('/api/ui/trends', { cache: 'no-store' });
      if (!response.ok) return;
      this.trends = await response.json();
      for (const [name, figure] of Object.entries(this.figures)) figure.trend(this.trends[name]);
    } catch { /* a missing trend says nothing false */ }
  }

  build() {
    this.figures = {
      total: figure('Customers', '/customers/complete', 'last 30 days'),
      in_connect: figure('In Connect', '/customers/in-progress', 'last 30 days'),
      seats: figure('Licences', '/customers/complete?sort=seats&dir=desc', 'last 30 days'),
      bad: figure('Customers with a problem', '/customers/complete?sort=worst', 'bad signals, last 24 hours'),
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
        h('section', { class: 'card', 'aria-labelledby': 'stuck' }, h('div', { class: 'card-head' }, h('h2', { id: 'stuck' }, 'Stuck in Connect'), this.stuckCount), this.stuck)),
    );
  }

  show(overview) {
    this.overview = overview;
    const { total, in_connect, seats, bad, waiting } = overview;
    this.figures.total.show(total, `${number(overview.complete)} live`);
    this.figures.in_connect.show(in_connect, waiting ? `${number(waiting)} waiting for their RFI` : 'none waiting for an RFI');
    this.figures.seats.show(seats, 'over all customers');
    this.figures.bad.show(bad, bad ? `of ${number(total)}` : 'none right now', bad > 0);
    this.signals.replaceChildren(...overview.signals.map(signal));
    this.showTimes();
  }

  showTimes() {
    const { worst, worst_more, stuck, stuck_more } = this.overview;
    const shown = worst.slice(0, 12);
    const more = worst.length - shown.length + worst_more;
    this.attentionCount.textContent = more > 0 ? `${shown.length} of ${number(shown.length + more)} signals` : '';
    this.attention.replaceChildren(...(shown.length ? shown.map(problemLine) : [h('li', { class: 'calm' }, 'Nothing needs attention.')]));
    this.stuckCount.textContent = stuck_more > 0 ? `and ${number(stuck_more)} more` : '';
    this.stuck.replaceChildren(...(stuck.length ? stuck.map(stuckLine) : [h('li', { class: 'calm' }, 'Nobody is stuck.')]));
  }
}

function figure(name, href, about) {
  const value = h('span', { class: 'figure-value' }, '–');
  const more = h('span', { class: 'figure-more' });
  const trend = h('span', { class: 'trend' });
  const box = h('a', { class: 'card figure', href }, h('span', { class: 'figure-name' }, name), value, trend, more);
  return {
    box,
    show(amount, text, isBad = false) {
      box.classList.toggle('has-bad', isBad);
      value.replaceChildren(isBad ? stateIcon(HEALTH[0], 'Problem') : '', number(amount));
      more.textContent = text;
    },
    trend(points) { trend.replaceChildren(points?.length > 1 ? spark(points, about) : ''); },
  };
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
  return h('li', { class: 'line' }, stateIcon(HEALTH[problem.is_old ? 1 : 0]),
    h('span', {}, h('a', { class: 'line-name', href: `/customers/${problem.customer_id}` }, problem.name), h('span', { class: 'line-what' }, problem.title + (problem.reason ? ` – ${problem.reason}` : ''))),
    h('span', { class: 'line-side' }, h('b', {}, amount(problem)), since ? h('span', { title: exact(since) }, `since ${clock(since)} (${ago(since)})`) : ''));
}

function stuckLine(customer) {
  const since = parseTime(customer.since);
  return h('li', { class: 'line' }, h('span', { class: customer.because ? 'tone-bad' : 'tone-good' }, shape(customer.because ? 'bad' : 'clock')),
    h('span', {}, h('a', { class: 'line-name', href: `/customers/${customer.customer_id}` }, customer.name), h('span', { class: 'line-what' }, customer.because ? `Blocked: ${customer.because}` : 'No movement')),
    h('span', { class: 'line-side' }, h('b', {}, customer.step), since ? h('span', { title: exact(since) }, `for ${ago(since)}`) : ''));
}
