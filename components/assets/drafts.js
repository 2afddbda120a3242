// What is typed and not stored yet, by name (without one nothing is kept): it outlives a reload and the end of a session, for
// as long as the tab is there. It is whoever typed it who finds it again, and nobody who signs in after them.

const keyOf = (name) => `draft ${document.querySelector('meta[name=portal-user]')?.content ?? ''} ${name}`;

// What is kept under this name, or null.
export function recall(name) {
  try { return name ? JSON.parse(sessionStorage.getItem(keyOf(name))) : null; } catch { return null; }
}

// Keeps these values under this name; null forgets them.
export function remember(name, values) {
  if (!name) return;
  try {
    if (values) sessionStorage.setItem(keyOf(name), JSON.stringify(values));
    else sessionStorage.removeItem(keyOf(name));
  } catch { /* a full or forbidden storage: the page itself still has it */ }
}
