// The table of a role: one click ticks a row, a column of a section, or a section; the next one unticks it.
const table = document.querySelector('[data-permissions]');

table?.addEventListener('click', (event) => {
  const button = event.target.closest('[data-permissions-all]');
  if (!button) return;
  const around = button.dataset.permissionsAll === 'row' ? button.closest('tr') : button.closest('section');
  let boxes = [...around.querySelectorAll('input[type=checkbox]:not(:disabled)')];
  if (button.dataset.permissionsAll === 'column') boxes = boxes.filter((box) => box.dataset.column === button.dataset.column);
  const wanted = boxes.some((box) => !box.checked);
  for (const box of boxes) box.checked = wanted;
  boxes[0]?.dispatchEvent(new Event('change', { bubbles: true }));
});
