// What is typed and not stored yet, by name (without one nothing is kept): it outlives a reload, for as
// long as the tab is there.

// What is kept under this name, or null.
export function recall(name) {
  try { return name ? JSON.parse(sessionStorage.getItem(`draft ${name}`)) : null; } catch { return null; }
}

// Keeps these values under this name; null forgets them.
export function remember(name, values) {
  if (!name) return;
  try {
    if (values) sessionStorage.setItem(`draft ${name}`, JSON.stringify(values));
    else sessionStorage.removeItem(`draft ${name}`);
  } catch { /* a full or forbidden storage: the page itself still has it */ }
}
