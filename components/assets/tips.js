// What hovering over an icon, or reaching it by keyboard, tells: value, threshold, since when, last read.
import { ago, exact, h, number, parseTime } from './live.js';

const PAUSE = 120; // ms that the pointer rests before anything is asked for
const WORDS = { good: 'Good', bad: 'Problem', unknown: 'Unknown', not_configured: 'Not configured' };

// The answer as JSON, or an error that says in a sentence what was wrong.
export async function read(response) {
  if (response.ok) return response.json();
  let message = `the server answered ${response.status}.`;
  try { message = (await response.json()).error || message; } catch { /* no JSON: the status says enough */ }
  throw Object.assign(new Error(message), { status: response.status });
}

// Why something could not be read, in words: what a browser says of a connection that is lost is not for people.
export const reasonOf = ({ status, name, message }) => (status === undefined && /fetch|network|load failed|timeout|abort/i.test(`${name} ${message}`) ? 'the server does not answer.' : message);

// Whether the same question would get the same answer, until somebody's rights are others.
export const isRefused = ({ status }) => status === 403 || status === 404;

let shown = null; // there is one tip on the screen at the most
// Escape takes it away wherever the focus is: what lies under it can then be read (WCAG 1.4.13).
document.addEventListener('keydown', (event) => event.key === 'Escape' && shown?.hide());

export class Tips {
  constructor(headingOf) {
    this.headingOf = headingOf;
    this.anchor = null;
  }

  // `held` is what has the focus, where that is not the anchor itself: a screen reader tells the tip with it.
  say(anchor, text, held = anchor) {
    this.hide();
    this.held = held;
    this.place(anchor, ...String(text).split('\n').map((line) => h('p', {}, line)));
  }

  show(icon, held = icon) {
    this.hide();
    this.anchor = icon;
    this.held = held;
    const { monitor, customer } = icon.dataset;
    const title = () => h('p', { class: 'tip-title' }, icon.getAttribute('aria-label'));
    const later = (...content) => this.anchor === icon && icon.isConnected && this.place(icon, ...content);
    this.timer = setTimeout(async () => {
      if (monitor === 'worst') return later(title()); // no monitor of its own
      later(title(), h('p', { class: 'quiet' }, '…'));
      try {
        const details = await fetch(`/api/ui/customers/${customer}/monitors/${monitor}`, { cache: 'no-store' }).then(read);
        later(...lines(this.headingOf(monitor), details));
      } catch {
        later(title(), h('p', { class: 'quiet' }, 'The details cannot be read just now.'));
      }
    }, PAUSE);
  }

  place(anchor, ...content) {
    this.box?.remove();
    this.box = h('div', { class: 'tip', role: 'tooltip', id: 'tip' }, ...content);
    (document.querySelector('main') || document.body).append(this.box);
    this.held.setAttribute('aria-describedby', 'tip');
    this.anchor = anchor;
    shown = this;
    const zoom = anchor.currentCSSZoom || 1; // a very wide screen is zoomed: the window's pixels are not the tip's
    const at = anchor.getBoundingClientRect();
    const [top, middle, bottom] = [at.top / zoom, (at.left + at.width / 2) / zoom, at.bottom / zoom];
    const { offsetWidth: width, offsetHeight: height } = this.box;
    this.box.style.left = Math.max(8, Math.min(innerWidth / zoom - width - 8, middle - width / 2)) + 'px';
    this.box.style.top = (bottom + height + 8 < innerHeight / zoom ? bottom + 6 : top - height - 6) + 'px';
  }

  hide() {
    clearTimeout(this.timer);
    this.held?.removeAttribute('aria-describedby');
    this.anchor = this.held = null;
    this.box?.remove();
    this.box = null;
    if (shown === this) shown = null;
  }
}

function lines(heading, details) {
  const since = parseTime(details.since);
  const readAt = parseTime(details.read_at);
  const row = (name, value) => h('div', { class: 'tip-row' }, h('span', { class: 'quiet' }, name), h('span', {}, value));
  const past = (at) => (ago(at) === 'just now' ? '' : ' ago');
  return [
    h('p', { class: 'tip-title' }, `${heading}: ${WORDS[details.state]}${details.is_old ? ', old reading' : ''}`),
    details.value != null && row('Waiting now', number(details.value)),
    details.threshold != null && details.state !== 'not_configured' && row('Problem above', number(details.threshold)),
    since && row('Since', `${exact(since)} (${ago(since)})`),
    row('Last read', readAt ? `${exact(readAt)} (${ago(readAt)}${past(readAt)})` : 'never'),
    details.reason && h('p', {}, details.reason),
  ].filter(Boolean);
}
