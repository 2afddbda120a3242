// State icons: a shape, a colour and a word for each; built as DOM, never from text of a user.

const SVG = 'http://www.w3.org/2000/svg';

const SHAPES = {
  bad: '<path class="fill" d="M5.6 1.5h4.8l4.1 4.1v4.8l-4.1 4.1H5.6l-4.1-4.1V5.6z"/><path class="mark" d="M8 4.4v4.4M8 11.2v.4"/>',
  unknown: '<circle class="dash" cx="8" cy="8" r="6.2"/><path class="stroke" d="M6.2 6.4c0-1 .8-1.7 1.8-1.7s1.8.7 1.8 1.6c0 1.3-1.8 1.4-1.8 2.7M8 11.2v.3"/>',
  good: '<circle class="thin" cx="8" cy="8" r="6.2"/><path class="stroke" d="M5.2 8.2l2 2 3.6-4"/>',
  none: '<path class="stroke" d="M4.5 8h7"/>',
  empty: '<circle class="stroke" cx="8" cy="8" r="6"/>',
  half: '<circle class="stroke" cx="8" cy="8" r="6"/><path class="fill" d="M8 2a6 6 0 0 1 0 12z"/>',
  done: '<circle class="fill" cx="8" cy="8" r="6.8"/><path class="mark" d="M5 8.2l2.1 2.1L11 6"/>',
  clock: '<circle class="stroke" cx="8" cy="8" r="6"/><path class="stroke" d="M8 4.5V8l2.4 1.6"/>',
  menu: '<path class="stroke" d="M2.5 4h11M2.5 8h11M2.5 12h11"/>',
  person: '<circle class="stroke" cx="8" cy="5.6" r="2.6"/><path class="stroke" d="M3 13.6c.5-2.6 2.5-3.8 5-3.8s4.500 1.200 5 3.800"/>',
  columns: '<path class="stroke" d="M2.500 3h11v10h-11zM6.200 3v10M9.800 3v10"/>',
  download: '<path class="stroke" d="M8 2.500v7.500M4.800 7.200L8 10.300l3.200-3.100M3 13.200h10"/>',
  external: '<path class="stroke" d="M9.500 2.800h3.700v3.700M13 3L7.800 8.200M11.500 9.500v3.700H2.800V4.500h3.700"/>',
  lock: '<path class="stroke" d="M4 7.500h8v6H4zM5.500 7.500V5.300a2.500 2.500 0 0 1 5 0v2.200"/>',
  chevron: '<path class="stroke" d="M6 3.500L10.500 8 6 12.500"/>',
  phone: '<path class="stroke" d="M3.500 2.500h2.600l1 3-1.500 1.200a8 8 0 0 0 3.700 3.700l1.200-1.500 3 1v2.600a1 1 0 0 1-1 1A10 10 0 0 1 2.500 3.500a1 1 0 0 1 1-1z"/>',
  mail: '<path class="stroke" d="M2 4h12v8.500H2zM2.300 4.500L8 9l5.700-4.500"/>',
  copy: '<path class="stroke" d="M5.500 5.500h8v8h-8zM10.500 5.500v-3h-8v8h3"/>',
  plus: '<path class="stroke" d="M8 3v10M3 8h10"/>',
  upload: '<path class="stroke" d="M8 10.500V3M4.800 6L8 2.800 11.200 6M3 13.200h10"/>',
  search: '<circle class="stroke" cx="7" cy="7" r="4.300"/><path class="stroke" d="M10.300 10.300L14 14"/>',
  page: '<path class="stroke" d="M2.500 3h11v10h-11zM2.500 6h11"/>',
  action: '<path class="stroke" d="M3 8h9M8.500 4.500L12 8l-3.500 3.500"/>',
  help: '<circle class="stroke" cx="8" cy="8" r="6"/><path class="stroke" d="M6.300 6.500c0-1 .7-1.600 1.700-1.600s1.700.600 1.700 1.500c0 1.200-1.700 1.300-1.700 2.400M8 11v.200"/>',
  file: '<path class="stroke" d="M4 2h5l3 3v9H4zM9 2v3h3"/>',
  cloud: '<path class="stroke" d="M4.600 12.500h6.900a2.600 2.600 0 0 0 .4-5.170 4 4 0 0 0-7.700.8A2.200 2.200 0 0 0 4.600 12.500z"/>',
  building: '<path class="stroke" d="M4 13.500v-11h8v11M2.500 13.500h11M6.500 5.300v.4M9.500 5.300v.4M6.500 8.100v.4M9.500 8.100v.4M7 13.300v-2.300h2v2.300"/>',
  up: '<path class="stroke" d="M8 13V3.500M4.300 7L8 3.300 11.700 7"/>',
};

// Index = Health in models/monitor.py.
export const HEALTH = [
  { shape: 'bad', tone: 'bad', word: 'Problem' },
  { shape: 'bad', tone: 'bad', word: 'Problem, old reading', old: true },
  { shape: 'unknown', tone: 'unknown', word: 'Unknown' },
  { shape: 'good', tone: 'good', word: 'Good, old reading', old: true },
  { shape: 'good', tone: 'good', word: 'Good' },
  { shape: 'none', tone: 'none', word: 'Not configured' },
];
// Index = RfiIcon in models/rfi.py.
export const RFI = [
  { shape: 'bad', tone: 'bad', word: 'RFI error' },
  { shape: 'empty', tone: 'good', word: 'RFI incomplete' },
  { shape: 'done', tone: 'good', word: 'RFI complete' },
  { shape: 'none', tone: 'none', word: 'RFI not applicable' },
];

export function shape(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('class', 'shape');
  svg.setAttribute('aria-hidden', 'true');
  svg.innerHTML = SHAPES[name] || ''; // our own constant above, nothing else
  return svg;
}

export function stateIcon(state, label) {
  const icon = document.createElement('span');
  icon.className = `icon tone-${state.tone}${state.old ? ' is-old' : ''}`;
  icon.setAttribute('role', 'img');
  icon.setAttribute('aria-label', label || state.word);
  icon.append(shape(state.shape));
  if (state.old) {
    const clock = shape('clock');
    clock.classList.add('badge');
    icon.append(clock);
  }
  return icon;
}
