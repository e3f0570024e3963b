// Rows of a list are dragged by their handle; the buttons beside it do the same by keyboard.
let dragged = null;

function rowOf(event) {
  const row = event.target.closest?.('tr');
  return row?.querySelector('[data-drag]') ? row : null;
}

document.addEventListener('dragstart', (event) => {
  const handle = event.target.closest?.('[data-drag]');
  if (!handle) return;
  dragged = handle;
  event.dataTransfer.effectAllowed = 'move';
  event.dataTransfer.setData('text/plain', handle.dataset.drag);
  event.dataTransfer.setDragImage(handle.closest('tr'), 0, 0);
});

document.addEventListener('dragover', (event) => {
  const row = dragged && rowOf(event);
  if (!row) return;
  event.preventDefault();
  for (const other of document.querySelectorAll('.drag-over')) other.classList.toggle('drag-over', other === row);
  row.classList.add('drag-over');
});

document.addEventListener('drop', (event) => {
  const target = dragged && rowOf(event)?.querySelector('[data-drag]');
  if (!target) return;
  event.preventDefault();
  if (target !== dragged) window.htmx.ajax('POST', `${dragged.dataset.dragUrl}&to=${target.dataset.drag}`, { swap: 'none', source: dragged });
});

document.addEventListener('dragend', () => {
  dragged = null;
  for (const row of document.querySelectorAll('.drag-over')) row.classList.remove('drag-over');
});
