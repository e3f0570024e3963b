// "/" or Ctrl-K opens the universal search (else the list's own), arrows walk its results, Enter opens, Esc closes.
function searchBox() {
  return document.getElementById('universal-search') || document.getElementById('list-search');
}

function closeResults() {
  document.getElementById('search-results')?.replaceChildren();
}

// Enter opens the first result; when the answer to what was typed is still under way, as soon as it is there.
let opening = null;

function openFirst() {
  const box = document.getElementById('universal-search');
  const menu = document.querySelector('#search-results .search-menu');
  if (opening === null || !box || box.value.trim() !== opening || menu?.dataset.text !== opening) return;
  opening = null;
  menu.querySelector('a')?.click();
}

export function start() {
  document.addEventListener('keydown', (event) => {
    const typing = event.target.closest?.('input, textarea, select, [contenteditable]');
    const slash = event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey;
    const control = event.key.toLowerCase() === 'k' && (event.ctrlKey || event.metaKey);
    const box = searchBox();
    if ((slash || control) && box) {
      event.preventDefault();
      box.focus();
      box.select();
    }
    if (event.key === 'Escape' && event.target.closest?.('.top-search')) {
      closeResults();
      document.getElementById('universal-search').blur();
    }
    if (event.key === 'Enter' && event.target.id === 'universal-search' && event.target.value.trim()) {
      event.preventDefault();
      opening = event.target.value.trim();
      openFirst();
    }
    if (['ArrowDown', 'ArrowUp'].includes(event.key) && event.target.closest?.('.top-search')) {
      const links = [...document.querySelectorAll('#search-results a')];
      if (!links.length) return;
      event.preventDefault();
      const step = event.key === 'ArrowDown' ? 1 : -1;
      const at = links.indexOf(document.activeElement) + step;
      if (at < 0) document.getElementById('universal-search').focus();
      else links[Math.min(at, links.length - 1)].focus();
    }
  });
  document.addEventListener('htmx:after:swap', openFirst);
  document.addEventListener('input', (event) => {
    if (event.target.id === 'universal-search') opening = null;
  });
  document.addEventListener('click', (event) => {
    if (!event.target.closest('.top-search')) closeResults();
  });
}
