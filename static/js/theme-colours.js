// The colour behind a variable of the theme (or a part of it), in a form that a canvas understands.
export function tone(name, share = 100) {
  const probe = document.createElement('span');
  probe.style.color = share === 100 ? `var(${name})` : `color-mix(in srgb, var(${name}) ${share}%, transparent)`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}
