// What hovering over an icon, or reaching it by keyboard, tells: value, threshold, since when, last read.
import { ago, clock, exact, h, number, parseTime } from './live.js';

const PAUSE = 120; // ms that the pointer rests before anything is asked for
const WORDS = { good: 'Good', bad: 'Problem', unknown: 'Unknown', not_configured: 'Not configured' };

// The answer as JSON, or an error that says in a sentence what was wrong.
export async function read(response) {
  if (response.ok) return response.json();
  let message = `the server answered ${response.status}.`;
  try { message = (await response.json()).error || message; } catch { /* no JSON: the status says enough */ }
  throw Object.assign(new Error(message), { status: response.status });
}

export class Tips {
  constructor(headingOf) {
    this.headingOf = headingOf;
    this.anchor = null;
  }

  say(anchor, text) { this.place(anchor, h('p', {}, text)); }

  show(icon) {
    this.hide();
    this.anchor = icon;
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
    document.body.append(this.box);
    anchor.setAttribute('aria-describedby', 'tip');
    this.anchor = anchor;
    const zoom = anchor.currentCSSZoom || 1; // a very wide screen is zoomed: the window's pixels are not the tip's
    const at = anchor.getBoundingClientRect();
    const [top, middle, bottom] = [at.top / zoom, (at.left + at.width / 2) / zoom, at.bottom / zoom];
    const { offsetWidth: width, offsetHeight: height } = this.box;
    this.box.style.left = Math.max(8, Math.min(innerWidth / zoom - width - 8, middle - width / 2)) + 'px';
    this.box.style.top = (bottom + height + 8 < innerHeight / zoom ? bottom + 6 : top - height - 6) + 'px';
  }

  hide() {
    clearTimeout(this.timer);
    this.anchor?.removeAttribute('aria-describedby');
    this.anchor = null;
    this.box?.remove();
    this.box = null;
  }
}

function lines(heading, details) {
  const since = parseTime(details.since);
  const readAt = parseTime(details.read_at);
  const row = (name, value, title) => h('div', { class: 'tip-row' }, h('span', { class: 'quiet' }, name), h('span', { title }, value));
  return [
    h('p', { class: 'tip-title' }, `${heading}: ${WORDS[details.state]}${details.is_old ? ', old reading' : ''}`),
    details.value != null && row('Waiting now', number(details.value)),
    details.threshold != null && row('Problem above', number(details.threshold)),
    since && row('Since', `${clock(since)} (${ago(since)})`, exact(since)),
    row('Last read', readAt ? `${clock(readAt)} (${ago(readAt)}${ago(readAt) === 'just now' ? '' : ' ago'})` : 'never'),
    details.reason && h('p', {}, details.reason),
  ].filter(Boolean);
}
