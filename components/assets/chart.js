// 48 hours of one monitor: the line of a queue against its threshold, and a strip of states below. Where nothing was
// read there is nothing: a gap is never drawn as good.
import { clock, h, live, number } from './live.js';

const SVG = 'http://www.w3.org/2000/svg';
const HOURS = 48;
const SLOT = 900; // seconds between two samples
const [WIDTH, HEIGHT, STRIP] = [576, 72, 10];
const WORDS = { good: 'Good', bad: 'Problem', unknown: 'Unknown', not_configured: 'Not configured' };

function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

export function chart(signal) {
  const points = [...(signal.chart?.points || [])];
  const last = signal.chart?.last; // newer than the sample of its quarter of an hour
  if (last && last[0] > (points.at(-1)?.[0] ?? 0)) points.push(last);
  if (!points.length) return h('p', { class: 'quiet small' }, 'No readings in the last 48 hours.');
  const end = live.now() / 1000;
  const start = end - HOURS * 3600;
  const x = (at) => (WIDTH * (at - start)) / (end - start);
  const values = points.map((point) => point[1]).filter((value) => value != null);
  const most = Math.max(1, signal.threshold || 0, ...values) * 1.08;
  const y = (value) => HEIGHT - (HEIGHT * value) / most;
  const drawing = svg('svg', { viewBox: `0 0 ${WIDTH} ${signal.is_queue ? HEIGHT + STRIP + 6 : STRIP}`, class: 'chart', role: 'img', preserveAspectRatio: 'none', 'aria-label': inWords(signal, points, values) });
  if (signal.is_queue) {
    if (signal.threshold != null) drawing.append(svg('path', { class: 'chart-threshold', d: `M0 ${y(signal.threshold)}H${WIDTH}` }));
    drawing.append(svg('path', { class: 'chart-line', d: line(points, x, y) }));
  }
  const top = signal.is_queue ? HEIGHT + 6 : 0;
  for (const run of runs(points, end)) {
    const [left, right] = [Math.max(0, x(run.from)), Math.min(WIDTH, x(run.to))];
    const [height, offset] = { good: [2, STRIP - 2], bad: [STRIP, 0], unknown: [STRIP / 2, STRIP / 2], not_configured: [0, STRIP] }[run.state];
    drawing.append(svg('rect', { class: `chart-${run.state}`, x: left, y: top + offset, width: Math.max(1, right - left), height }));
  }
  const reading = h('span', { class: 'chart-reading' });
  const box = h('div', { class: 'chart-box' },
    signal.is_queue && h('div', { class: 'chart-scale', 'aria-hidden': 'true' }, h('span', {}, `up to ${number(Math.max(0, ...values))}`), signal.threshold != null && h('span', {}, `problem above ${number(signal.threshold)}`)),
    drawing, h('div', { class: 'chart-axis', 'aria-hidden': 'true' }, h('span', {}, '48 h ago'), reading, h('span', {}, 'now')));
  drawing.addEventListener('pointermove', (event) => {
    const at = start + (HOURS * 3600 * event.offsetX) / drawing.clientWidth;
    const near = points.reduce((best, point) => (Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best));
    reading.textContent = Math.abs(near[0] - at) > 2 * SLOT ? 'no reading' : `${clock(near[0] * 1000)}: ${near[1] == null ? WORDS[near[2]] : number(near[1])}`;
  });
  drawing.addEventListener('pointerleave', () => { reading.textContent = ''; });
  return box;
}

function line(points, x, y) {
  let path = '';
  let last = null;
  for (const [at, value] of points) {
    if (value == null) { last = null; continue; }
    path += `${last != null && at - last <= 2.5 * SLOT ? 'L' : 'M'}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    last = at;
  }
  return path;
}

// Stretches of the same state; a sample speaks for the quarter of an hour after it, and a little for a late one.
function runs(points, end) {
  const found = [];
  points.forEach(([at, , state], index) => {
    const next = points[index + 1]?.[0] ?? end;
    const to = Math.min(next, at + 1.5 * SLOT);
    const last = found.at(-1);
    if (last && last.state === state && at - last.to < 1) last.to = to;
    else found.push({ state, from: at, to });
  });
  return found;
}

function inWords(signal, points, values) {
  const bad = points.filter((point) => point[2] === 'bad').length;
  const unsure = points.filter((point) => point[2] === 'unknown').length;
  const silent = Math.max(0, Math.round((HOURS * 3600) / SLOT - points.length));
  return [
    `${signal.title}, last 48 hours`,
    values.length ? `highest ${number(Math.max(...values))}` : '',
    bad ? `a problem in ${bad} of ${points.length} readings` : 'no problem',
    unsure ? `not known in ${unsure}` : '',
    silent > 4 ? `about ${Math.round(silent / 4)} hours without a reading` : '',
  ].filter(Boolean).join(', ');
}
