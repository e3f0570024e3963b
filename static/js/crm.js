// Users: an address is copied. RFID tags: what may pay for a tag depends on whose tag it is.
document.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-copy]');
  if (!button) return;
  const source = document.querySelector(button.dataset.copy);
  const words = button.querySelector('span');
  source.select();
  try {
    await navigator.clipboard.writeText(source.value);
    words.textContent = button.dataset.copied;
  } catch {
    // without https there is no clipboard; the text is selected, so that Ctrl-C copies it
    words.textContent = 'Selected';
  }
});

function refill(select, choices) {
  const before = select.value;
  select.replaceChildren(...choices.map(([value, label]) => new Option(label, value)));
  if (choices.some(([value]) => value === before)) select.value = before;
  select.tomselect?.sync();
}

function startPaysWith() {
  const select = document.querySelector('select[data-pays-with]');
  const user = document.getElementById('user');
  if (!select || !user) return;
  user.addEventListener('change', async () => {
    const url = new URL(select.dataset.paysWith, window.location.origin);
    url.searchParams.set('user', user.value);
    const answer = await fetch(url, { headers: { Accept: 'application/json' } });
    if (answer.ok) refill(select, await answer.json());
  });
}

startPaysWith();

// a USB card reader types the Tag ID and then Enter, which must not send a form that is not filled in yet
function startReader() {
  const field = document.querySelector('input#tag_id');
  if (!field) return;
  field.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    document.getElementById('card_no')?.focus();
  });
  if (!field.value) field.focus();
}

startReader();
