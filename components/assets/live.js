// The live connection of a page: one websocket, numbered messages, a heartbeat, and the truth about how fresh things are.
// Modules subscribe to: 'state' (live | connecting | stale), 'changes' (one message), 'again' (ask again for everything),
// 'overview', 'customer', 'partner' (news of its people, settings, prospects, orders or mail: live.news), 'me' (one's own
// role or sight changed), 'bad'. It works without the page framework, so the wall uses it as it is.

const SILENCE = 4500; // ms without a word after which what is shown may be old
const LONGEST_PAUSE = 1800; // ms between two attempts at the most: a server that is back is noticed within 5 s
const RECENT = 64;

const handlers = {};
const recent = []; // the latest numbered messages, to be applied to rows that were read before them
let socket = null;
let attempts = 0;
let refused = 0;
let lastHeard = 0;
let clockAhead = 0; // server clock minus ours, ms
let retry = null;
let watching = null;
let readBefore = null; // of the rows that were read before the first hello: what the oldest of them include
let ended = false;

export const live = {
  state: 'connecting',
  since: Date.now(), // when the state began; for 'stale', when we last heard
  epoch: null,
  n: 0,
  p: 0, // the number of the last news of the MSP
  r: null, // another number after every change of this person's roles in the consoles
  bad: null,
  away: false, // the server is there and cannot use its database: nothing shown can change
  now: () => Date.now() + clockAhead,
  on(event, handler) {
    (handlers[event] ||= new Set()).add(handler);
    return () => handlers[event].delete(handler);
  },
  // Calls `handler` whenever these of the MSP (users, settings, prospects, orders, mail; all of them if none is named) may be
  // others than the page was built with: told, missed while we were away, or told before this page was there to hear it.
  news(handler, ...kinds) {
    let gone = false;
    const undo = [
      live.on('again', () => handler()),
      live.on('partner', ({ what }) => (!what || !kinds.length || kinds.includes(what)) && handler()),
    ];
    if (live.epoch !== null && isBuiltBefore(live)) setTimeout(() => !gone && handler());
    return () => {
      gone = true;
      undo.forEach((each) => each());
    };
  },
  watch(topic, id) { // what this page shows beside lists: 'overview', 'customer' with its id, or nothing
    watching = { watch: topic, id };
    if (socket?.readyState === 1) socket.send(JSON.stringify(watching));
  },
  recent,
  // Whether rows that were read at this number, and what was heard since, are all there is. What is not known yet, because
  // the first hello is still to come, is made good then.
  isWhole(epoch, n) {
    if (live.epoch === null) {
      if (!readBefore || n < readBefore.n) readBefore = { epoch, n };
      return true;
    }
    if (epoch !== live.epoch || live.n === null || n >= live.n) return true;
    return recent.some((message) => message.n === n + 1) && !recent.some((message) => message.n > n && message.t === 'many');
  },
  quit() { // the browser is on its way to another page: nothing here may send it elsewhere
    ended = true;
    window.socket?.disconnect();
  },
  leave, // the session is over: to sign-in, once
};

function emit(event, detail) {
  for (const handler of [...(handlers[event] || [])]) {
    try {
      handler(detail);
    } catch (error) {
      console.error(error);
    }
  }
}

function become(state) {
  if (live.state === state) return;
  live.state = state;
  live.since = state === 'live' ? Date.now() : lastHeard || Date.now();
  document.documentElement.dataset.live = state;
  emit('state', state);
}

function connect() {
  clearTimeout(retry);
  if (ended) return;
  const address = location.protocol.replace('http', 'ws') + '//' + location.host + '/live';
  const mine = (socket = new WebSocket(address));
  let opened = false;
  const impatient = setTimeout(() => mine.readyState === 0 && mine.close(), 3000);
  mine.onopen = () => {
    opened = true;
    refused = 0;
    if (watching) mine.send(JSON.stringify(watching));
  };
  mine.onmessage = (event) => socket === mine && hear(JSON.parse(event.data));
  mine.onclose = (event) => {
    clearTimeout(impatient);
    if (socket !== mine || ended) return;
    socket = null;
    if (event.code === 4401) return leave();
    if (event.code === 1012 || event.code === 1013) live.n = null; // what may be seen has changed, or some was lost
    if (live.state === 'live') become('connecting');
    if (!opened && ++refused >= 2) askWhy();
    const pause = Math.min(LONGEST_PAUSE, 150 * 2 ** attempts++) * (0.6 + 0.4 * Math.random());
    retry = setTimeout(connect, event.code === 1012 && opened ? 20 : pause);
  };
}

// A refused socket tells no reason: the session may be over, or the server away.
async function askWhy() {
  try {
    const response = await fetch('/api/ui/session', { cache: 'no-store', signal: AbortSignal.timeout(3000) });
    if (response.status === 401) leave();
  } catch {
    /* the server is away; connect goes on trying */
  }
}

function leave() {
  if (ended) return;
  live.quit(); // the page framework would navigate as well, and two at once can crash the tab
  document.documentElement.dataset.live = 'ended';
  location.replace('/login?next=' + encodeURIComponent(location.pathname + location.search + location.hash));
}

function hear(message) {
  lastHeard = Date.now();
  attempts = 0;
  if (message.now) clockAhead = message.now - Date.now();
  if ('db' in message) live.away = !message.db;
  if (message.t === 'bye') return leave();
  if (message.t === 'hello') {
    const known = live.epoch === null ? readBefore : live;
    const missed = known !== null && (known.epoch !== message.epoch || known.n !== message.n);
    readBefore = null;
    const mine = madeFor();
    if (message.me && mine && message.me !== mine) emit('me'); // this page was made for another role or sight
    const restarted = live.epoch !== null && live.epoch !== message.epoch;
    const hasNews = live.epoch === null ? isBuiltBefore(message) : live.p !== message.p;
    const otherRoles = live.epoch !== null && live.r !== message.r; // granted or revoked while we were away
    live.r = message.r;
    live.epoch = message.epoch;
    [live.n, live.p] = [message.n, message.p];
    if (missed) recent.length = 0;
    become(live.away ? 'stale' : 'live');
    if (missed || otherRoles) emit('again');
    else if (hasNews) emit('partner', {}); // of what, is not known any more
    if (restarted) emit('restarted');
    return;
  }
  become(live.away ? 'stale' : 'live');
  if (message.t === 'bad') {
    live.bad = message.bad;
    emit('bad', message.bad);
  } else if (message.t === 's') {
    emit('overview', message);
  } else if (message.t === 'c') {
    emit('customer', message);
  } else if (message.t === 'r') { // what this person is in the consoles: told to their own pages only
    live.r = message.r;
    emit('again');
  } else if (message.t === 'p') {
    const gap = message.p !== live.p + 1;
    live.p = message.p;
    emit('partner', gap ? {} : message);
  } else if (message.t === 'h') {
    const [lost, lostNews] = [message.n !== live.n, message.p !== live.p]; // on the way
    [live.n, live.p] = [message.n, message.p];
    if (lost) emit('again');
    else if (lostNews) emit('partner', {});
    emit('beat', message);
  } else if (message.t === 'd' || message.t === 'many') {
    const gap = message.n !== live.n + 1;
    live.n = message.n;
    recent.push(message);
    if (recent.length > RECENT) recent.shift();
    if (gap || message.t === 'many') emit('again');
    else emit('changes', message);
  }
}

// Whether there have been news since the page, or what the frame shows now, was built (pages/shell.py); the wall has none.
function isBuiltBefore({ epoch, p }) {
  const told = document.querySelector('[data-told]')?.dataset.told ?? document.querySelector('meta[name=portal-told]')?.content;
  if (!told) return false;
  const [its, number] = told.split(' ');
  return its !== epoch || Number(number) < p;
}

// Role and sight that this page was made for, as its frame says; none on the wall, which looks the same for everybody.
const madeFor = () => document.querySelector('meta[name=portal-me]')?.content;

function look() {
  const silent = Date.now() - lastHeard;
  if (lastHeard && silent > SILENCE) {
    become('stale');
    live.since = lastHeard;
    live.away = false; // nobody tells
    if (socket && socket.readyState === 1 && silent > SILENCE + 1500) {
      const dead = socket; // open, but nobody there: a half-closed connection
      socket = null;
      dead.close();
      connect();
    }
  }
}

setInterval(look, 500);
addEventListener('online', () => live.state !== 'live' && connect());
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) look();
});
addEventListener('pageshow', (event) => event.persisted && (ended ? location.reload() : connect()));
document.documentElement.dataset.live = 'connecting';
connect();

// -- time, as people say it -------------------------------------------------------------------------------------------

export function parseTime(text) {
  if (!text) return null;
  if (typeof text === 'number') return text;
  return Date.parse(text.replace(' ', 'T').replace(/(\.\d{3})\d+/, '$1'));
}

export function ago(ms) {
  const s = Math.max(0, Math.round((live.now() - ms) / 1000));
  if (s < 60) return 'just now';
  if (s < 3600) return Math.floor(s / 60) + ' min';
  if (s < 86400) return Math.floor(s / 3600) + ' h ' + (Math.floor(s / 60) % 60) + ' min';
  return Math.floor(s / 86400) + (s < 172800 ? ' day' : ' days');
}

// The time zone in which people have chosen to see times (their account), which stands in the head of the page; without
// one it is the browser's.
let zone = known(document.querySelector('meta[name=portal-zone]')?.content);
function known(name) {
  try { return name ? new Intl.DateTimeFormat('en-GB', { timeZone: name }).resolvedOptions().timeZone : undefined; } catch { return undefined; }
}
export function setZone(name) { zone = known(name); }
export const inZone = (options) => ({ ...options, timeZone: zone });

// The first moment of a day (2026-11-22, and so many days later) there, as ISO text; nothing for what is no day.
export const startOfDay = (day, after = 0) => shownAt(Date.parse(`${day}T00:00Z`) + after * 86400000);
// The moment at which the clocks there show this (2026-11-22T14:05), as ISO text.
export const momentOf = (shown) => shownAt(Date.parse(`${shown}Z`));
function shownAt(wall) {
  if (Number.isNaN(wall)) return '';
  let at = wall;
  for (let i = 0; i < 2; i++) at = wall - (wallClock(at) - at); // twice: the first guess may lie beyond a change of the clocks
  return new Date(at).toISOString();
}
function wallClock(ms) { // what the clocks show there, as if it were UTC
  const part = Object.fromEntries(new Intl.DateTimeFormat('en-GB', inZone({ year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric', hourCycle: 'h23' })).formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second);
}

const zoned = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
const dayOf = (date) => date.toLocaleDateString('en-CA', inZone({})); // 2026-11-22
export function clock(ms) {
  const date = new Date(ms);
  const [then, today] = [dayOf(date), dayOf(new Date(live.now()))];
  if (then === today) return date.toLocaleTimeString('en-GB', inZone(zoned));
  if (then.slice(0, 4) !== today.slice(0, 4)) return date.toLocaleDateString('en-GB', inZone({ dateStyle: 'medium' }));
  return date.toLocaleString('en-GB', inZone({ ...zoned, day: 'numeric', month: 'short' }));
}

export function exact(ms) {
  return new Date(ms).toLocaleString('en-GB', inZone({ dateStyle: 'medium', timeStyle: 'long' }));
}

// A moment as people say it, kept right while the page stays open.
export function when(value) {
  const at = parseTime(value);
  if (at == null) return '–';
  return h('time', { datetime: new Date(at).toISOString(), title: exact(at), 'data-at': at }, spoken(at));
}

export function spoken(at) {
  const past = live.now() - at;
  if (past < -60000) return clock(at);
  return past < 3600000 ? (past < 60000 ? 'just now' : `${ago(at)} ago`) : clock(at);
}

export function number(value) {
  return value == null ? '–' : Number(value).toLocaleString('en-GB', { maximumFractionDigits: 1 });
}

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'class') element.className = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children.flat()) if (child != null && child !== false) element.append(child);
  return element;
}

// To another place of the page. What somebody types, has chosen or opened in there goes with it: an element that is taken
// out and put in again has lost the focus.
export function carry(element, parent) {
  if (element.isConnected && parent.isConnected && parent.moveBefore) return void parent.moveBefore(element, null);
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  parent.append(element);
  focused?.focus({ preventScroll: true });
}
