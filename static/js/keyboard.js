// "/" or Ctrl-K opens the universal search (else the list's own), arrows walk its results, Esc closes them.
function searchBox() {
  return document.getElementById('universal-search') || document.getElementById('list-search');
}

function closeResults() {
  document.getElementById('search-results')?.replaceChildren();
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
  document.addEventListener('click', (event) => {
    if (!event.target.closest('.top-search')) closeResults();
  });
}
