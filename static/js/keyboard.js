// The universal search: "/" or Ctrl-K opens it (else the list's own search), arrows walk the results while the focus stays
// in the box, Enter opens, Esc closes. A combobox with a listbox, as the ARIA Authoring Practices describe it.
const BOX = 'universal-search';

function box() {
  return document.getElementById(BOX);
}

function options() {
  return [...document.querySelectorAll('#search-results [role=option]')];
}

function chosen() {
  return document.querySelector('#search-results [aria-selected=true]');
}

function choose(option) {
  chosen()?.setAttribute('aria-selected', 'false');
  if (option) {
    option.setAttribute('aria-selected', 'true');
    option.scrollIntoView({ block: 'nearest' });
    box().setAttribute('aria-activedescendant', option.id);
  } else {
    box()?.removeAttribute('aria-activedescendant');
  }
}

// What a screen reader is told of the box after its results have changed.
function describe() {
  const input = box();
  if (!input) return;
  choose(null);
  const list = document.getElementById('search-options');
  input.setAttribute('aria-expanded', String(Boolean(list)));
  if (list) input.setAttribute('aria-controls', list.id);
  else input.removeAttribute('aria-controls');
  const said = document.getElementById('search-said');
  if (said) said.textContent = document.querySelector('#search-results .search-menu')?.dataset.said ?? '';
}

function close() {
  document.getElementById('search-results')?.replaceChildren();
  describe();
}

// Enter opens the first result; when the answer to what was typed is still under way, as soon as it is there.
let opening = null;

function openFirst() {
  const menu = document.querySelector('#search-results .search-menu');
  if (opening === null || box()?.value.trim() !== opening || menu?.dataset.text !== opening) return;
  opening = null;
  menu.querySelector('a')?.click();
}

function open() {
  const input = box() || document.getElementById('list-search');
  if (!input) return false;
  input.focus();
  input.select();
  return true;
}

function walk(key) {
  const all = options();
  if (!all.length) return false;
  const step = key === 'ArrowDown' ? 1 : -1;
  const at = all.indexOf(chosen());
  choose(at < 0 && step < 0 ? all.at(-1) : all[at + step]);
  return true;
}

function onKey(event) {
  const typing = event.target.closest?.('input, textarea, select, [contenteditable]');
  const slash = event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey;
  const control = event.key.toLowerCase() === 'k' && (event.ctrlKey || event.metaKey);
  if ((slash || control) && open()) event.preventDefault();
  if (event.key === 'Escape' && event.target.closest?.('.top-search')) {
    close();
    box().blur();
  }
  if (event.target.id !== BOX || event.isComposing) return;
  if (['ArrowDown', 'ArrowUp'].includes(event.key) && walk(event.key)) event.preventDefault();
  if (event.key === 'Enter') {
    event.preventDefault();
    opening = event.target.value.trim() || null;
    if (chosen()) chosen().click();
    else openFirst();
  }
}

export function start() {
  document.addEventListener('keydown', onKey);
  document.addEventListener('htmx:after:swap', (event) => {
    if (document.activeElement?.id !== BOX && event.detail?.ctx?.target?.id === 'search-results') close();
    describe();
    openFirst();
  });
  document.addEventListener('input', (event) => {
    if (event.target.id === BOX) opening = null;
  });
  document.addEventListener('focusin', (event) => {
    if (event.target.id === BOX && !options().length) event.target.dispatchEvent(new Event('search-open'));
    else if (!event.target.closest('.top-search')) close();
  });
  document.addEventListener('click', (event) => {
    if (!event.target.closest('.top-search')) close();
  });
}
