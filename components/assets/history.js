// The history log, of a customer and (audit.js) of the MSP: filtered, newest first; further entries come as it is
// scrolled.
import { h, live, startOfDay, when } from './live.js';
import { isRefused, read, reasonOf } from './tips.js';
import { shape } from './icons.js';

const TRY_AGAIN = 5000; // ms until what could not be read is asked for once more
const keyOf = (row) => `${row.flip ? 'flip' : 'entry'} ${row.id}`; // numbered each on their own

export class HistoryBody {
  // `at` is where entries are asked for, and with `.csv` the file of them; `first` are the groups before the page's own.
  // `named`: what is chosen stands in the address, as it does for lists.
  constructor(page, box, { at = `${page.address}/history`, first = [['', 'Milestones and people'], ['all', 'Everything']], what = 'The history', named = false } = {}) {
    Object.assign(this, { page, at, what, named });
    this.next = '';
    this.rows = new Set();
    this.asked = 0;
    const { groups } = page.config;
    this.group = h('select', { 'aria-label': 'Kind', onchange: () => this.reload() }, ...[...first, ...groups].map(([key, title]) => h('option', { value: key }, title)));
    this.person = h('select', { 'aria-label': 'Person', onchange: () => this.reload() }, h('option', { value: '' }, 'Everybody'));
    this.since = h('input', { type: 'date', 'aria-label': 'From day', onchange: () => this.reload() });
    this.until = h('input', { type: 'date', 'aria-label': 'Up to day', onchange: () => this.reload() });
    this.exported = page.may('history.export') && h('a', { class: 'button', download: true, target: '_blank' }, shape('download'), 'CSV');
    this.list = h('ol', { class: 'log' });
    this.end = h('p', { class: 'quiet small log-end', role: 'status' }, 'Being read …');
    this.scroller = h('div', { class: 'log-box', tabindex: '0', role: 'region', 'aria-label': 'Entries' }, this.list, this.end);
    box.append(h('div', { class: 'filters' }, this.group, this.person, h('label', {}, 'from ', this.since), h('label', {}, 'to ', this.until), h('span', { class: 'grow' }), this.exported || ''), this.scroller);
    if (named) this.restore();
    this.watch = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && this.more(), { root: this.scroller, rootMargin: '400px' });
    this.watch.observe(this.end);
    this.reload();
  }

  destroy() {
    this.asked++; // what is on its way is for nobody
    clearTimeout(this.soon);
    this.watch.disconnect();
  }

  get chosen() { return { group: this.group, person: this.person, from: this.since, to: this.until }; }

  restore() {
    const asked = new URLSearchParams(location.search);
    // People are told with the first entries; until then the one that is asked for stands in for all.
    if (/^\d{1,15}$/.test(asked.get('person') || '')) this.person.append(h('option', { value: asked.get('person') }, 'Person'));
    for (const [name, input] of Object.entries(this.chosen)) if (asked.get(name)) input.value = asked.get(name);
    if (this.group.selectedIndex < 0) this.group.selectedIndex = 0; // a kind that there is not
  }

  // Without an entry of its own in the browser's history, which would need one Back for every choice.
  name() {
    const asked = Object.entries(this.chosen).map(([name, input]) => [name, input.value]).filter(([, value]) => value);
    history.replaceState(history.state, '', [location.pathname, asked.length && `?${new URLSearchParams(asked)}`, location.hash].filter(Boolean).join(''));
  }

  show({ people }) {
    const chosen = this.person.value;
    this.person.replaceChildren(h('option', { value: '' }, 'Everybody'), ...people.map(([id, name]) => h('option', { value: id }, name)));
    this.person.value = people.some(([id]) => String(id) === chosen) ? chosen : '';
    if (this.person.value !== chosen) this.reload(); // what is listed is what the choice says
  }

  query(more = {}) {
    // Days are those of whoever looks.
    const asked = { group: this.group.value, person: this.person.value, since: startOfDay(this.since.value), until: startOfDay(this.until.value, 1), ...more };
    return new URLSearchParams(Object.entries(asked).filter(([, value]) => value)).toString();
  }

  fetch(more) {
    return fetch(`${this.at}?${this.query(more)}`, { cache: 'no-store', signal: AbortSignal.timeout(15000) }).then(read);
  }

  async reload() {
    const mine = ++this.asked;
    clearTimeout(this.soon);
    if (this.named) this.name();
    if (this.exported) this.exported.href = `${this.at}.csv?${this.query()}`;
    try {
      const found = await this.fetch();
      if (mine !== this.asked) return;
      this.rows.clear();
      this.list.replaceChildren();
      this.append(found);
    } catch (error) {
      if (mine !== this.asked) return;
      if (error.status === 401) return void live.leave();
      this.isUnread = true;
      // What is listed would not be what was chosen, or what was erased.
      this.next = '';
      this.rows.clear();
      this.list.replaceChildren();
      this.end.replaceChildren(`${this.what} cannot be read: ${reasonOf(error)} `, h('button', { class: 'button small', type: 'button', onclick: () => this.reload() }, 'Try again'));
      if (!isRefused(error)) this.soon = setTimeout(() => this.reload(), TRY_AGAIN);
    }
  }

  append({ rows, next, people }) {
    if (people) this.show({ people }); // the audit tells with its first page who is in it
    for (const row of rows) if (!this.rows.has(keyOf(row))) { this.rows.add(keyOf(row)); this.list.append(entry(row)); }
    this.next = next;
    this.isUnread = false;
    this.end.textContent = next ? 'Loading …' : this.rows.size ? 'The beginning.' : 'No entry is like that.';
    this.watch.unobserve(this.end); // it tells of changes only: told anew, it says where the end is now
    this.watch.observe(this.end);
  }

  async more() {
    if (!this.next || this.loading) return;
    const mine = this.asked;
    this.loading = true;
    try {
      const found = await this.fetch({ before: this.next });
      this.loading = false;
      if (mine === this.asked) this.append(found);
    } catch {
      this.loading = false;
      this.end.replaceChildren(h('button', { class: 'button small', type: 'button', onclick: () => this.more() }, 'Older entries could not be read: try again'));
    }
  }

  // Something new happened: it comes on top, and what is being read stays where it is.
  async renew() {
    if (this.isUnread) return void this.reload();
    const mine = this.asked;
    try {
      const { rows } = await this.fetch();
      if (mine !== this.asked) return;
      const fresh = rows.filter((row) => !this.rows.has(keyOf(row)));
      // What was erased must not be read on, wherever in the log it stands.
      if (fresh.some((row) => row.kind === 'history.erased')) return void this.reload();
      if (fresh.length === rows.length && this.rows.size) return void this.reload(); // more than a page: begin anew
      const before = this.scroller.scrollHeight;
      fresh.forEach((row) => this.rows.add(keyOf(row)));
      this.list.prepend(...fresh.map(entry));
      if (fresh.length && this.end.textContent === 'No entry is like that.') this.end.textContent = 'The beginning.';
      if (this.scroller.scrollTop > 0) this.scroller.scrollTop += this.scroller.scrollHeight - before;
    } catch { /* the next change, or coming back, asks again */ }
  }
}

function entry(row) {
  return h('li', { class: `log-row${row.milestone ? ' is-milestone' : ''}${row.flip ? ' is-flip' : ''}` },
    h('span', { class: 'log-when quiet' }, when(row.at)), h('span', { class: 'log-what', dir: 'auto' }, row.erased ? h('em', {}, 'Erased on request') : row.summary),
    h('span', { class: 'log-who quiet' }, row.flip ? 'Monitor' : row.actor || 'Portal'));
}
