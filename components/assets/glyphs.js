// The pictures that stand for the five signals (icon headers, the dashboard, the wall).
const GLYPHS = {
  worst: '<path d="M5.600 2h4.800L14 5.600v4.800L10.400 14H5.600L2 10.400V5.600zM8 5v3.800M8 11v.200"/>',
  inbound_queue: '<path d="M2 8.500v5h12v-5M8 2v7.500M5 6.800L8 9.800l3-3"/>',
  outbound_queue: '<path d="M2 8.500v5h12v-5M8 10V2.200M5 5l3-3 3 3"/>',
  journal_queue: '<path d="M3 2.500h8.500a1.500 1.500 0 0 1 1.500 1.500v9.500H4.500A1.500 1.500 0 0 1 3 12zM5.500 5.500h5M5.500 8h5"/>',
  journal_connector: '<path d="M2 4.500h4.500V11H2zM9.500 4.500H14V11H9.500zM6.500 7.800h3"/>',
  directory_connector: '<path d="M6 2h4v3.500H6zM1.800 10.500h4V14h-4zM10.200 10.500h4V14h-4zM8 5.500V8M3.800 10.500V8h8.400v2.500"/>',
};

export function glyph(kind) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('class', 'glyph');
  svg.setAttribute('aria-hidden', 'true');
  svg.innerHTML = GLYPHS[kind] || ''; // our own constants above
  return svg;
}
