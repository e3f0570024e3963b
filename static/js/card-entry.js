// The card is entered in Stripe's own frame and goes there; this page learns only whether it worked.
const form = document.querySelector('[data-card-entry]');

// Stripe wants its script to come from its own address, always the newest; the policy of this one page allows that.
function load(address) {
  return new Promise((done, failed) => {
    const script = document.createElement('script');
    script.src = address;
    script.addEventListener('load', done);
    script.addEventListener('error', failed);
    document.head.append(script);
  });
}

async function start() {
  const button = form.querySelector('button');
  const problem = form.querySelector('[data-error]');
  const label = button.textContent;
  try {
    await load(form.dataset.script);
  } catch {
    problem.textContent = form.dataset.unreachable;
    return;
  }
  const stripe = window.Stripe(form.dataset.key, { locale: form.dataset.locale });
  const { color } = getComputedStyle(document.body);
  const card = stripe.elements().create('card', {
    style: { base: { color, iconColor: color, fontSize: '16px', '::placeholder': { color: '#7a8594' } } },
  });
  card.mount('#card');
  card.on('change', (event) => {
    problem.textContent = event.error ? event.error.message : '';
  });
  button.disabled = false;

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    button.textContent = form.dataset.saving;
    problem.textContent = '';
    let outcome;
    try {
      outcome = await stripe.confirmCardSetup(form.dataset.secret, { payment_method: { card } });
    } catch {
      outcome = { error: {} };
    }
    if (outcome.setupIntent && outcome.setupIntent.status === 'succeeded') {
      window.location.replace(form.dataset.return);
      return;
    }
    problem.textContent = (outcome.error && outcome.error.message) || form.dataset.failed;
    button.textContent = label;
    button.disabled = false;
  });
}

if (form) start();
