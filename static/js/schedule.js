// The schedule of a charge point or EVSE: a step line, drawn again after every swap and theme change.
import { tone } from './theme-colours.js';

let chart = null;

function draw() {
  const canvas = document.querySelector('canvas[data-schedule]');
  if (chart && chart.canvas !== canvas) {
    chart.destroy();
    chart = null;
  }
  if (!canvas || !window.Chart || chart) return;
  window.Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  const data = JSON.parse(canvas.dataset.schedule);
  const label = (minute) => data.labels[data.minutes.indexOf(minute)] ?? '';
  chart = new window.Chart(canvas, {
    type: 'line',
    data: {
      datasets: [
        {
          label: `Limit (${data.unit})`,
          data: data.limits.map((y, index) => ({ x: data.minutes[index], y })),
          stepped: 'before',
          borderWidth: 2,
          pointRadius: data.labels.length > 60 ? 0 : 2,
          borderColor: tone('--tblr-primary'),
          backgroundColor: tone('--tblr-primary', 12),
          fill: true,
        },
      ],
    },
    options: {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      interaction: { mode: 'index', intersect: false },
      plugins: { legend: { display: false }, tooltip: { callbacks: { title: (items) => label(items[0].parsed.x) } } },
      scales: {
        x: {
          type: 'linear',
          min: 0,
          max: data.minutes.at(-1),
          afterBuildTicks: (scale) => {
            scale.ticks = data.minutes.map((value) => ({ value }));
          },
          ticks: { color: tone('--tblr-secondary'), callback: label, maxRotation: 0, autoSkip: true, autoSkipPadding: 12 },
          grid: { display: false },
        },
        y: {
          beginAtZero: true,
          title: { display: true, text: data.unit, color: tone('--tblr-secondary') },
          ticks: { color: tone('--tblr-secondary') },
          grid: { color: tone('--tblr-border-color-translucent') },
        },
      },
    },
  });
}

document.addEventListener('htmx:after:swap', draw);
document.addEventListener('theme-changed', () => {
  chart?.destroy();
  chart = null;
  draw();
});
// a call's payload begins with what the call must have; what was typed is kept
document.addEventListener('change', (event) => {
  const payload = event.target.form?.elements.namedItem('payload');
  if (event.target.name !== 'call' || !payload?.dataset.skeletons) return;
  const skeletons = JSON.parse(payload.dataset.skeletons);
  const untouched = payload.value.trim() in { '': 1, '{}': 1 } || Object.values(skeletons).includes(payload.value.trim());
  if (untouched) payload.value = skeletons[event.target.value] ?? '{}';
});
draw();
