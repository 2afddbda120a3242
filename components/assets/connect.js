// The Connect card: the steps with what can be done about them, what their checks found, and when each was planned and done.
import { h, inZone, live, parseTime, when } from './live.js';
import { shape, stateIcon } from './icons.js';
import { openForm, send } from './dialog.js';
import { day, empty, helpLink } from './cards.js';
import { lookAfter } from './looking_after.js';

const STEP = {
  complete: ['done', 'good', 'Complete'], in_progress: ['half', 'accent', 'In progress'], todo: ['empty', 'good', 'Incomplete'],
  locked: ['lock', 'none', 'Incomplete, locked until earlier steps are done'], blocked: ['bad', 'bad', 'Blocked'], skipped: ['none', 'none', 'Skipped'],
};
const OPEN = ['todo', 'in_progress', 'blocked', 'locked'];
const VERBS = {
  start: { title: 'Start', again: 'Go on' }, complete: { title: 'Complete' }, block: { title: 'Block', reason: 'What is in the way.' },
  skip: { title: 'Skip', reason: 'Why it is not needed.' }, reopen: { title: 'Reopen', reason: 'Why it is to be done again.' },
};
const FOUND = { true: ['done', 'good', 'Passed'], false: ['bad', 'bad', 'Not passed'], null: ['unknown', 'unknown', 'Could not be checked'] };
const LONGEST = 200;
const DAY = 86400000;

const dayKey = (ms) => new Date(ms).toLocaleDateString('en-CA', inZone({})); // 2026-11-22

// The second click of a double click finds another button in the same place: whoever starts a step does not complete it.
const once = (act) => (event) => { if (event.detail < 2) act(event); };

export class ConnectBody {
  constructor(page, box) {
    this.page = page;
    this.opened = new Set();
    this.view = 'steps';
    this.sending = new Set(); // what is on its way
    this.moved = new Map(); // steps that were moved, as they were seen before: until they are drawn anew, another press says nothing
    this.trouble = h('p', { class: 'form-error', role: 'alert', hidden: true });
    this.inside = h('div', { class: 'connect-inside' });
    box.append(this.inside, this.trouble);
  }

  show(content) {
    this.content = content;
    const { steps } = content;
    if (!steps.length) {
      this.inside.replaceChildren(empty(content.completed_at ? 'Connect was completed before this customer came to the portal.' : 'There are no steps.'));
      return;
    }
    const share = content.of ? content.done / content.of : 1;
    const { activeElement: pressed } = document;
    const held = this.inside.contains(pressed) && pressed.closest('.step')?.dataset.step;
    const place = () => held && this.inside.querySelector(`[data-step="${CSS.escape(held)}"]`)?.getBoundingClientRect().top;
    const was = place();
    this.inside.replaceChildren(...[
      this.standing(),
      h('div', { class: 'progress-line' },
        h('progress', { max: content.of || 1, value: content.done, 'aria-label': 'Connect progress' }), h('b', {}, `${content.done} of ${content.of}`), h('span', { class: 'quiet' }, `${Math.round(100 * share)} %`)),
      this.whose(),
      this.bar(),
      this.view === 'steps' ? h('ol', { class: 'steps' }, ...steps.map((step) => this.step(step))) : this.timeLine(),
      this.view === 'steps' && this.readiness('at the end'),
    ].filter(Boolean));
    // What was pressed may be gone; the next thing to press is not, or a key that is held down would press that too.
    const kept = (name) => this.inside.querySelector(`[data-keep="${CSS.escape(name)}"]`);
    if (held && !kept(pressed.dataset.keep || '')) kept(`fold ${held}`)?.focus({ preventScroll: true });
    // What comes or goes above must not move the step away from under who has just done something about it.
    if (was && place()) this.inside.closest('.page')?.scrollBy({ top: place() - was, behavior: 'instant' });
  }

  // On hold, ready, closed: what counts for all of Connect, and what can be done about it.
  standing() {
    const { hold, is_ready: ready, listing, closed_because: because, closed_at: closed, status, later } = this.content;
    if (listing === 'closed') return h('p', { class: 'notice' }, h('b', {}, status), ' ', when(closed), because ? ` – ${because}` : '');
    if (later.length) return h('p', { class: 'notice' }, h('b', {}, `${later.join(', ')} ${later.length === 1 ? 'is' : 'are'} to be set up.`), ' What was bought later is done beside: the customer is live and stays in Complete.');
    if (hold) {
      return h('div', { class: 'notice connect-standing' }, h('span', {}, h('b', {}, hold.until ? `On hold until ${day(hold.until)}` : 'On hold'), ' since ', when(hold.since), h('span', { dir: 'auto' }, ` – ${hold.because}`)),
        this.page.may('connect.hold') && this.button('Go on now', 'resume', () => this.send('connect/resume', {}), 'small'));
    }
    return ready ? this.readiness('') : null;
  }

  // Above the steps for who comes to look, and at their end for who has just done the last one.
  readiness(where) {
    const { hold, is_ready: ready, listing, later } = this.content;
    if (!ready || hold || listing === 'closed' || later.length) return null;
    const may = this.page.may('connect.complete');
    return h('div', { class: 'notice connect-standing' }, h('span', {}, h('b', {}, 'Every step that applies is done.'), may ? ' Confirm it, and the customer moves to Complete.' : ' Somebody who may has to confirm it.'),
      may && this.button('Confirm that Connect is complete', `complete connect ${where}`, () => this.send('connect/complete', {}), 'primary'));
  }

  // Who looks after the customer, and with the right a way to say so.
  whose() {
    const { listing, responsible, later } = this.content;
    if (!['in_progress', 'waiting'].includes(listing) && !responsible && !later.length) return null;
    const change = listing !== 'closed' && this.page.may('step.assign');
    return h('p', { class: 'connect-whose small' }, h('span', { class: 'quiet' }, 'Looked after by '), h('span', { dir: 'auto' }, responsible || 'nobody'), change && this.button('Change', 'look after', () => this.lookAfter(), 'plain small', 'Change who looks after this customer'));
  }

  async lookAfter(step) {
    this.trouble.hidden = true;
    try {
      await lookAfter({ id: this.page.id, name: this.page.name || 'this customer', step, stored: () => this.page.touched(['connect', 'history']) });
    } catch (error) {
      this.trouble.textContent = error.message;
      this.trouble.hidden = false;
    }
  }

  // How the steps are shown, and what is done with Connect as a whole.
  bar() {
    const { listing, hold, why_not: stopped } = this.content;
    const may = (right) => this.page.may(right);
    const view = (name, title) => h('button', { class: 'button small connect-view', type: 'button', 'aria-pressed': String(this.view === name), 'data-keep': `view ${name}`, onclick: () => this.look(name) }, title);
    const inConnect = ['in_progress', 'waiting'].includes(listing);
    const all = [
      inConnect && !hold && may('connect.hold') && this.button('Put on hold', 'hold', () => this.hold()),
      inConnect && may('connect.abandon') && this.button('Abandon', 'abandon', () => this.ask({
        title: 'Abandon Connect', about: 'The customer moves to Closed. Nothing is deleted, and nothing is watched any more.', button: 'Abandon Connect', danger: true, to: 'connect/abandon',
      })),
      listing === 'complete' && stopped && may('connect.complete') && this.button('Reopen Connect', 'reopen connect', () => this.reopen()),
    ].filter(Boolean);
    return h('div', { class: 'connect-bar' }, h('div', { class: 'connect-views', role: 'group', 'aria-label': 'How the steps are shown' }, view('steps', 'Steps'), view('time', 'Time line')), h('span', { class: 'grow' }), ...all);
  }

  look(name) {
    this.view = name;
    this.show(this.content);
    this.inside.querySelector(`[data-keep="view ${name}"]`).focus();
  }

  button(title, keep, onclick, look = 'plain small', label) {
    return h('button', { class: `button ${look}`, type: 'button', 'data-keep': keep, 'aria-label': label, onclick: once(onclick) }, title);
  }

  // -- one step -------------------------------------------------------------------------------------------------------

  step(step) {
    const [picture, tone, word] = STEP[step.state];
    const late = !this.content.hold && step.due_at && OPEN.includes(step.state) && this.content.listing !== 'closed' && parseTime(step.due_at) < live.now();
    const open = this.opened.has(step.key);
    const id = `step-${step.key}`;
    const quick = this.moves(step).filter((verb) => (verb === 'complete' ? step.state !== 'todo' : verb === 'start'));
    const toggle = h('button', { class: 'button plain small step-fold', type: 'button', 'aria-expanded': String(open), 'aria-controls': id, 'aria-label': `More about ${step.title}`, 'data-keep': `fold ${step.key}`, onclick: () => this.fold(step.key) }, shape('chevron'));
    return h('li', { class: `step is-${step.state}`, 'data-step': step.key },
      stateIcon({ shape: picture, tone, word }),
      h('div', { class: 'step-what' },
        this.help(step),
        h('span', { class: 'quiet small' }, [word, step.is_optional ? 'optional' : '', step.owner, step.assignee].filter(Boolean).join(' · ')),
        step.reason && h('span', { class: step.state === 'blocked' || step.is_wrong ? 'tone-bad small' : 'quiet small', dir: 'auto' }, step.state === 'in_progress' ? `Reopened: ${step.reason}` : step.reason),
        step.checking && h('span', { class: 'quiet small', role: 'status' }, 'Being checked …')),
      h('div', { class: 'step-when small' }, step.completed_at ? [step.state === 'skipped' ? 'skipped ' : 'done ', when(step.completed_at)]
        : step.due_at ? h('span', { class: late ? 'tone-bad is-late' : 'quiet' }, late ? 'overdue since ' : 'due ', day(step.due_at)) : ''),
      h('div', { class: 'step-acts' }, ...quick.map((verb) => this.moving(step, verb)), toggle),
      open && h('div', { class: 'step-more', id }, ...this.more(step, quick)));
  }

  help(step) {
    if (!step.help) return h('span', { class: 'step-title' }, step.title);
    if (/^https?:/.test(step.help)) return h('a', { href: step.help, target: '_blank', rel: 'noopener', 'data-keep': `help ${step.key}` }, step.title);
    return helpLink(this.page, step.help, step.title);
  }

  fold(key) {
    this.opened.has(key) ? this.opened.delete(key) : this.opened.add(key);
    this.show(this.content);
    this.inside.querySelector(`[data-keep="fold ${CSS.escape(key)}"]`).focus();
  }

  more(step, quick) {
    const titles = Object.fromEntries(this.content.steps.map(({ key, title, state }) => [key, [title, state]]));
    const waits = step.needs.filter((key) => !['complete', 'skipped'].includes(titles[key][1])).map((key) => titles[key][0]);
    const facts = [
      ['Begun', step.started_at && when(step.started_at)], [step.state === 'skipped' ? 'Skipped' : 'Completed', step.completed_at && [when(step.completed_at), step.done_by && ` by ${step.done_by}`]],
      ['Planned', step.due_at && day(step.due_at)], ['Looked after by', step.assignee], ['After', step.needs.map((key) => titles[key][0]).join(', ')],
      ['Waits for', step.state === 'locked' && waits.join(', ')], ['Automatic check', step.check],
    ].filter(([, value]) => value && value.length !== 0);
    const acts = [
      step.can_check && this.page.may('step.check') && h('button', { class: 'button small', type: 'button', 'data-keep': `check ${step.key}`, 'aria-busy': step.checking ? 'true' : null, onclick: () => this.send(`steps/${step.key}/check`, {}) }, step.checking ? 'Being checked …' : 'Check now'),
      ...this.moves(step).filter((verb) => !quick.includes(verb)).map((verb) => this.moving(step, verb)),
      OPEN.includes(step.state) && this.content.listing !== 'closed' && this.page.may('step.assign') && h('button', { class: 'button small', type: 'button', 'data-keep': `assign ${step.key}`, 'aria-label': `Say who sees to ${step.title}`, onclick: () => this.lookAfter(step.key) }, 'Who sees to it'),
    ].filter(Boolean);
    return [
      facts.length > 0 && h('dl', { class: 'facts' }, ...facts.flatMap(([name, value]) => [h('dt', {}, name), h('dd', { dir: 'auto' }, ...[value].flat().filter(Boolean))])),
      step.evidence.length > 0 && h('div', { class: 'evidence' }, h('b', { class: 'small' }, 'What the check found'), h('ul', {}, ...step.evidence.map((found) => this.evidence(found)))),
      acts.length > 0 && h('div', { class: 'card-actions' }, ...acts),
    ].filter(Boolean);
  }

  evidence({ at, by, asked, answer, passed, overruled }) {
    const [picture, tone, word] = FOUND[passed] || FOUND.null;
    return h('li', { class: 'evidence-one' }, stateIcon({ shape: picture, tone, word }),
      h('div', {}, h('p', { class: 'small' }, h('b', {}, word), ' · ', when(at), ` · ${by}`), h('p', { class: 'quiet small', dir: 'auto' }, asked), h('p', { class: 'small evidence-answer', dir: 'auto' }, answer),
        overruled && h('p', { class: 'quiet small', dir: 'auto' }, `Reopened by ${overruled} since: the same answer does not complete the step by itself.`)));
  }

  // What this viewer may do with a step now.
  moves(step) {
    return this.page.may(step.is_vendors ? 'step.advance_for_vendor' : 'step.advance') ? step.moves : [];
  }

  moving(step, verb) {
    const { title, again } = VERBS[verb];
    return h('button', { class: 'button small', type: 'button', 'data-keep': `${verb} ${step.key}`, 'aria-label': `${title} ${step.title}`, onclick: once(() => this.move(step, verb)) }, verb === 'start' && step.state === 'blocked' ? again : title);
  }

  move(step, verb) {
    const to = `steps/${step.key}/move`;
    if (this.moved.get(step.key) === step.seen) return;
    if (!step.is_vendors && !VERBS[verb].reason) {
      this.moved.set(step.key, step.seen);
      return this.send(to, { verb, seen: step.seen }).then((done) => done || this.moved.delete(step.key));
    }
    return this.ask({
      title: `${VERBS[verb].title} ${step.title}`, about: step.is_vendors ? 'This is the vendor’s step. What you do on their behalf is recorded with your reason.' : '',
      help: VERBS[verb].reason || 'How you know that it is so.', button: VERBS[verb].title, to, more: { verb, seen: step.seen },
    });
  }

  // -- asking and sending ---------------------------------------------------------------------------------------------

  ask({ title, about, help = '', button, to, danger, more = {}, fields = [] }) {
    openForm({
      title, about, button, danger, draft: `${this.page.id} ${to} ${more.verb || ''}`,
      fields: [{ name: 'because', label: 'Reason', longest: LONGEST, help: `${help} It is kept in the history.`.trim() }, ...fields],
      store: async (values) => {
        if (!values.because.trim()) throw Object.assign(new Error('is missing: say why'), { field: 'because' });
        await send('POST', `${this.page.address}/${to}`, { ...more, ...values });
        this.page.touched(['connect', 'history']);
      },
    });
  }

  hold() {
    const tomorrow = dayKey(live.now() + DAY);
    this.ask({
      title: 'Put Connect on hold', about: 'Nothing is overdue meanwhile; what is due moves by the days that it rests.', button: 'Put on hold', to: 'connect/hold',
      fields: [{ name: 'until', label: 'Until (optional)', help: 'It goes on by itself that morning. Without a day it rests until somebody lets it go on.', make: (shared) => h('input', { ...shared, type: 'date', min: tomorrow }) }],
    });
  }

  reopen() {
    this.ask({
      title: 'Reopen Connect', about: 'The customer moves back to In Progress, at the step that you choose.', button: 'Reopen', to: 'connect/reopen',
      fields: [{ name: 'step', label: 'Step', kind: 'choice', choices: this.content.steps.filter(({ key }) => key !== 'rfi').map(({ key, title }) => [key, title]) }],
    });
  }

  async send(to, body) {
    const said = JSON.stringify([to, body]);
    if (this.sending.has(said)) return false; // pressed twice; something else does not wait for the answer
    this.sending.add(said);
    this.trouble.hidden = true;
    let done = false;
    try {
      await send('POST', `${this.page.address}/${to}`, body);
      done = true;
    } catch (error) {
      this.trouble.textContent = error.message;
      this.trouble.hidden = false;
    } finally {
      this.sending.delete(said);
    }
    this.page.touched(['connect', 'history']);
    return done;
  }

  // -- the time line --------------------------------------------------------------------------------------------------

  // A table with the dates, and beside them the same as bars: planned above, actual below.
  timeLine() {
    const { steps } = this.content;
    const now = live.now();
    const at = (value) => (value ? parseTime(String(value)) : null);
    const due = Object.fromEntries(steps.map((step) => [step.key, at(step.due_at)]));
    const begun = at(this.content.begun_at);
    const rows = steps.map((step) => {
      const before = step.needs.map((key) => due[key]).filter(Boolean);
      const planned = due[step.key] ? [Math.min(before.length ? Math.max(...before) : begun, due[step.key]), due[step.key]] : null;
      const end = at(step.completed_at);
      const start = at(step.started_at) ?? (end && step.state === 'complete' ? end : null);
      const running = ['in_progress', 'blocked'].includes(step.state);
      const actual = start != null ? [start, end ?? (running ? now : start)] : null;
      return { step, planned, actual, running, late: due[step.key] && dayKey(end ?? now) > dayKey(due[step.key]) && step.state !== 'skipped' && (end || OPEN.includes(step.state)) };
    });
    const moments = rows.flatMap(({ planned, actual }) => [...(planned || []), ...(actual || [])]).concat(begun);
    const first = Math.min(...moments);
    const span = Math.max(Math.max(...moments, now) - first, DAY);
    const place = ([from, to]) => ({ left: `${(100 * (from - first)) / span}%`, width: `${Math.max((100 * (to - from)) / span, 0.8)}%` });
    const bar = (kind, range) => {
      const element = h('span', { class: `time-bar is-${kind}` });
      Object.assign(element.style, place(range));
      return element;
    };
    const today = h('span', { class: 'time-now' });
    today.style.left = `min(${(100 * (now - first)) / span}%, 100% - 1px)`;
    return h('div', { class: 'plain-table-box', tabindex: '0', role: 'region', 'aria-label': 'Time line', 'data-keep': 'time line' },
      h('table', { class: 'plain-table time-line' },
        h('caption', { class: 'small quiet' }, h('span', { class: 'time-key is-planned' }), 'planned ', h('span', { class: 'time-key is-actual' }), 'actual ', h('span', { class: 'time-key is-late' }), 'late ', h('span', { class: 'time-key is-now' }), 'today'),
        h('thead', {}, h('tr', {}, ...['Step', 'Planned', 'Actual'].map((name) => h('th', { scope: 'col' }, name)), h('th', { scope: 'col', 'aria-hidden': 'true', class: 'time-scale' }, h('span', {}, day(new Date(first).toISOString())), h('span', {}, day(new Date(first + span).toISOString()))))),
        h('tbody', {}, ...rows.map(({ step, planned, actual, running, late }) => h('tr', {},
          h('th', { scope: 'row' }, step.title),
          h('td', { class: 'date', 'data-label': 'Planned' }, planned ? day(step.due_at) : '–'),
          h('td', { class: late ? 'date tone-bad is-late' : 'date', 'data-label': 'Actual' }, step.completed_at ? `${step.state === 'skipped' ? 'skipped ' : ''}${day(step.completed_at)}${late ? ', late' : ''}` : running ? `since ${day(step.started_at)}${late ? ', overdue' : ''}` : late ? 'overdue' : '–'),
          h('td', { class: 'time-cell', 'aria-hidden': 'true' }, h('div', { class: 'time-track' }, planned && bar('planned', planned), actual && bar(late ? 'actual is-late' : 'actual', actual), today.cloneNode())))))));
  }

  destroy() {}
}
