// Customising the dashboard: cards are dragged to another place, and the focus stays with the card that was moved.
// Everything is done by the server; the buttons do the same without a mouse.
(() => {
  let dragged = null;
  let focus = null;

  const board = () => document.getElementById('arrange');
  const tileAt = (event) => event.target.closest?.('[data-tile]');

  // the gap nearest to the pointer: before the tile under it, or before the one after
  function gap(tile, event) {
    const box = tile.getBoundingClientRect();
    const wide = box.width > board().getBoundingClientRect().width * 0.75;
    const after = wide ? event.clientY > box.top + box.height / 2 : event.clientX > box.left + box.width / 2;
    return after ? tile.nextElementSibling : tile;
  }

  function mark(tile, before) {
    board().querySelectorAll('.dash-drop-before, .dash-drop-after').forEach((each) => {
      each.classList.remove('dash-drop-before', 'dash-drop-after');
    });
    if (tile) tile.classList.add(before === tile ? 'dash-drop-before' : 'dash-drop-after');
  }

  document.addEventListener('dragstart', (event) => {
    dragged = tileAt(event);
    if (!dragged) return;
    event.dataTransfer.effectAllowed = 'move';
    event.dataTransfer.setData('text/plain', dragged.dataset.tile);
    dragged.classList.add('dash-dragged');
  });

  document.addEventListener('dragover', (event) => {
    const tile = tileAt(event);
    if (!dragged || !tile || !tile.closest('ol')) return;
    event.preventDefault();
    mark(tile, gap(tile, event));
  });

  document.addEventListener('dragend', () => {
    dragged?.classList.remove('dash-dragged');
    dragged = null;
    mark(null);
  });

  document.addEventListener('drop', (event) => {
    const tile = tileAt(event);
    if (!dragged || !tile || !tile.closest('ol')) return;
    event.preventDefault();
    const before = gap(tile, event);
    if (before === dragged) return;
    window.htmx.ajax('POST', board().dataset.save, {
      target: '#arrange',
      swap: 'outerHTML',
      values: { do: 'place', card: dragged.dataset.tile, before: before?.dataset.tile || '' },
    });
  });

  document.addEventListener('submit', (event) => {
    focus = event.submitter?.id || null;
  }, true);

  document.addEventListener('htmx:after:swap', () => {
    if (!focus) return;
    const card = focus.slice(focus.indexOf('-') + 1);
    const usable = [focus, `later-${card}`, `earlier-${card}`, `hide-${card}`, `show-${card}`, 'arrange-reset']
      .map((id) => document.getElementById(id))
      .find((element) => element && !element.disabled);
    focus = null;
    usable?.focus();
  });
})();
