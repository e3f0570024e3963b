// An editor over each textarea[data-rich-text]: headings, bold, italic, lists, links, tables. What is pasted from a word
// processor is reduced to these. The server cleans once more, and trusts nothing of this.
const BLOCKS = { H1: 'h2', H2: 'h2', H3: 'h3', H4: 'h4', H5: 'h4', H6: 'h4', P: 'p', LI: 'li', UL: 'ul', OL: 'ol',
  BLOCKQUOTE: 'blockquote', TABLE: 'table', THEAD: 'thead', TBODY: 'tbody', TR: 'tr', TD: 'td', TH: 'th' };
const MARKS = { B: 'strong', STRONG: 'strong', I: 'em', EM: 'em', U: 'u' };
const DROPPED = new Set(['SCRIPT', 'STYLE', 'SVG', 'MATH', 'TEMPLATE', 'IFRAME', 'OBJECT', 'TITLE', 'META', 'LINK', 'HEAD', 'O:P', 'XML', 'IMG', 'INPUT', 'BUTTON', 'SELECT', 'TEXTAREA']);
const SAFE = /^(https?:|mailto:|tel:|\/(?!\/)|#)/i;

function create(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

// What a word processor says by style is said by elements: a bold span is <strong>; Google Docs wraps all in a <b> that
// is not bold; Word's points are paragraphs of the class MsoListParagraph.
function marksOf(element) {
  const style = element.getAttribute('data-style') || '';
  const weight = /font-weight:\s*(\w+)/i.exec(style)?.[1];
  const marks = [];
  const bold = weight ? weight === 'bold' || weight === 'bolder' || Number(weight) >= 600 : MARKS[element.tagName] === 'strong';
  if (bold) marks.push('strong');
  const slant = /font-style:\s*(\w+)/i.exec(style)?.[1];
  if (slant ? slant === 'italic' || slant === 'oblique' : MARKS[element.tagName] === 'em') marks.push('em');
  if (MARKS[element.tagName] === 'u') marks.push('u');
  return marks;
}

function wrap(nodes, marks) {
  if (!nodes.some((node) => node.textContent.trim())) return nodes;
  return marks.reduce((inside, mark) => [create(mark, ...inside)], nodes);
}

function cleanedChildren(node) {
  return [...node.childNodes].flatMap(cleaned);
}

function cleaned(node) {
  if (node.nodeType === Node.TEXT_NODE) return [document.createTextNode(node.data.replace(/[\u00a0\s]+/g, ' '))];
  if (node.nodeType !== Node.ELEMENT_NODE || DROPPED.has(node.tagName.toUpperCase())) return [];
  const name = node.tagName.toUpperCase();
  if (/mso-list:\s*Ignore/i.test(node.getAttribute('data-style') || '')) return [];
  if (name === 'BR') return [create('br')];
  if (name === 'HR') return [create('hr')];
  const inside = cleanedChildren(node);
  if (name === 'A') {
    const href = (node.getAttribute('href') || '').trim();
    if (!SAFE.test(href)) return inside;
    const link = create('a', ...inside);
    link.setAttribute('href', href);
    return [link];
  }
  if (BLOCKS[name]) {
    const block = create(BLOCKS[name], ...(name === 'P' ? wrap(inside, marksOf(node)) : inside));
    for (const span of ['colspan', 'rowspan']) {
      if (name[0] === 'T' && /^[1-9]\d?$/.test(node.getAttribute(span) || '')) block.setAttribute(span, node.getAttribute(span));
    }
    if (/MsoListParagraph/i.test(node.className) || /mso-list:/i.test(node.getAttribute('data-style') || '')) block.dataset.point = /^\s*[\da-z]+[.)]/i.test(node.textContent) ? 'ol' : 'ul';
    return [block];
  }
  if (/^(DIV|SECTION|ARTICLE|HEADER|FOOTER|MAIN|BODY|HTML|FIGURE|CENTER)$/.test(name)) {
    return inside.some((part) => part.nodeType === Node.ELEMENT_NODE && /^(P|H\d|UL|OL|TABLE|BLOCKQUOTE|HR)$/.test(part.tagName)) ? inside : [create('p', ...inside)];
  }
  return wrap(inside, marksOf(node));
}

function tidy(root) {
  for (const point of [...root.querySelectorAll('p[data-point]')]) {
    const kind = point.dataset.point;
    let list = point.previousElementSibling;
    if (!list || list.tagName.toLowerCase() !== kind || !list.dataset.made) {
      list = create(kind);
      list.dataset.made = 'yes';
      point.before(list);
    }
    const text = point.firstChild;
    if (text?.nodeType === Node.TEXT_NODE) text.data = text.data.replace(/^\s*([·•o§▪-]|[\da-z]+[.)])\s+/i, '');
    list.append(create('li', ...point.childNodes));
    point.remove();
  }
  for (const list of root.querySelectorAll('[data-made]')) delete list.dataset.made;
  for (const paragraph of root.querySelectorAll('li > p:only-child, td > p:only-child, th > p:only-child')) paragraph.replaceWith(...paragraph.childNodes);
  for (const empty of [...root.querySelectorAll('p, h2, h3, h4, li, strong, em, u, a')].reverse()) {
    if (!empty.textContent.trim() && !empty.querySelector('hr')) empty.replaceWith(...(empty.matches('strong, em, u, a') ? [' '] : []));
  }
}

// The page's policy forbids inline styles and handlers, also in a document that is only parsed: styles are read under
// another name.
function withoutStyles(html) {
  return html.replace(/<style\b[\s\S]*?<\/style>/gi, '').replace(/<[^>]*>/g, (tag) => tag.replace(/\sstyle\s*=/gi, ' data-style=').replace(/[\s/]on\w+\s*=/gi, ' data-on='));
}

export function cleanHtml(html) {
  const parsed = new DOMParser().parseFromString(withoutStyles(html), 'text/html');
  const root = create('div', ...cleanedChildren(parsed.body));
  const loose = [];
  for (const node of [...root.childNodes]) { // text beside paragraphs becomes one
    const inline = node.nodeType === Node.TEXT_NODE || /^(A|STRONG|EM|U|BR)$/.test(node.tagName);
    if (inline) loose.push(node);
    if (!inline || !node.nextSibling) {
      if (loose.some((part) => part.textContent.trim()) && (root.children.length > loose.length || /<(p|h\d|ul|ol|table|div)\b/i.test(html))) {
        const paragraph = create('p');
        loose[0].before(paragraph);
        paragraph.append(...loose);
      }
      loose.length = 0;
    }
  }
  tidy(root);
  return root.innerHTML;
}

const BUTTONS = [
  ['formatBlock', 'p', 'Text'], ['formatBlock', 'h2', 'Heading'], ['formatBlock', 'h3', 'Subheading'],
  ['bold', null, 'Bold'], ['italic', null, 'Italic'], ['underline', null, 'Underline'],
  ['insertUnorderedList', null, 'Points'], ['insertOrderedList', null, 'Numbers'],
  ['link', null, 'Link'], ['table', null, 'Table'], ['row', null, 'Add row'], ['column', null, 'Add column'],
  ['removeFormat', null, 'Plain'],
];

class Editor {
  constructor(area) {
    this.area = area;
    this.text = create('div');
    this.text.id = `${area.id}-editor`;
    this.text.className = 'form-control rich-text';
    this.text.contentEditable = 'true';
    this.text.lang = area.lang;
    for (const [name, value] of [['role', 'textbox'], ['aria-multiline', 'true'], ['aria-label', area.dataset.label]]) this.text.setAttribute(name, value);
    if (area.getAttribute('aria-describedby')) this.text.setAttribute('aria-describedby', area.getAttribute('aria-describedby'));
    this.text.innerHTML = cleanHtml(area.value);
    area.before(this.toolbar(), this.text);
    area.hidden = true;
    document.execCommand('defaultParagraphSeparator', false, 'p');
    document.execCommand('styleWithCSS', false, false);
    this.text.addEventListener('input', () => this.changed());
    this.text.addEventListener('paste', (event) => this.pasted(event));
    this.text.addEventListener('drop', (event) => { if (event.dataTransfer?.files.length) event.preventDefault(); });
    document.addEventListener('selectionchange', () => this.mark());
  }

  toolbar() {
    this.bar = create('div');
    this.bar.className = 'rich-text-bar';
    this.bar.setAttribute('role', 'toolbar');
    this.bar.setAttribute('aria-label', `Format: ${this.area.dataset.label}`);
    this.bar.setAttribute('aria-controls', `${this.area.id}-editor`);
    this.buttons = BUTTONS.map(([command, value, shown]) => {
      const button = create('button', shown);
      button.type = 'button';
      button.className = `btn btn-sm rich-text-${command}`;
      button.dataset.command = command;
      if (value) button.dataset.value = value;
      button.addEventListener('mousedown', (event) => event.preventDefault()); // the selection stays
      button.addEventListener('click', () => this.run(command, value));
      return button;
    });
    this.buttons.slice(1).forEach((button) => { button.tabIndex = -1; });
    this.bar.addEventListener('keydown', (event) => this.arrow(event));
    this.bar.append(...this.buttons, this.linkRow());
    return this.bar;
  }

  linkRow() {
    this.address = create('input');
    this.address.type = 'text';
    this.address.className = 'form-control form-control-sm';
    this.address.placeholder = 'https://…';
    this.address.setAttribute('aria-label', 'Address of the link; empty removes it');
    const apply = create('button', 'Apply');
    apply.type = 'button';
    apply.className = 'btn btn-sm';
    apply.addEventListener('click', () => this.link());
    this.address.addEventListener('input', (event) => event.stopPropagation());
    this.address.addEventListener('change', (event) => event.stopPropagation());
    this.address.addEventListener('keydown', (event) => {
      event.stopPropagation();
      if (event.key === 'Enter') { event.preventDefault(); this.link(); }
      if (event.key === 'Escape') { this.row.hidden = true; this.text.focus(); }
    });
    this.row = create('div', this.address, apply);
    this.row.className = 'rich-text-link-row';
    this.row.hidden = true;
    return this.row;
  }

  arrow(event) { // one stop for the Tab key, arrows within: as the pattern for toolbars has it
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = this.buttons.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    const next = this.buttons[(at + step + this.buttons.length) % this.buttons.length];
    this.buttons.forEach((button) => { button.tabIndex = button === next ? 0 : -1; });
    next.focus();
  }

  inside() {
    const selection = window.getSelection();
    return selection.rangeCount > 0 && this.text.contains(selection.anchorNode) ? selection : null;
  }

  cell() {
    const node = this.inside()?.anchorNode;
    return (node?.nodeType === Node.TEXT_NODE ? node.parentElement : node)?.closest?.('td, th');
  }

  run(command, value) {
    if (!this.inside()) {
      this.text.focus();
      if (!this.inside()) window.getSelection().selectAllChildren(this.text);
      if (!this.text.textContent) window.getSelection().collapseToStart();
    }
    if (command === 'link') return this.askLink();
    if (command === 'table') this.insert('<table><tbody><tr><th>\u200b</th><th>\u200b</th></tr><tr><td>\u200b</td><td>\u200b</td></tr></tbody></table><p><br></p>');
    else if (command === 'row') this.addRow();
    else if (command === 'column') this.addColumn();
    else document.execCommand(command, false, value ? `<${value}>` : null);
    this.text.focus();
    return this.changed();
  }

  insert(html) {
    document.execCommand('insertHTML', false, html);
  }

  addRow() {
    const row = this.cell()?.parentElement;
    if (!row) return;
    row.after(create('tr', ...[...row.cells].map(() => create('td', '\u200b'))));
  }

  addColumn() {
    const cell = this.cell();
    if (!cell) return;
    for (const row of cell.closest('table').rows) (row.cells[cell.cellIndex] || row.lastElementChild).after(create(row.cells[0].tagName, '\u200b'));
  }

  askLink() {
    this.range = this.inside()?.getRangeAt(0).cloneRange();
    const node = this.range?.startContainer;
    const link = (node?.nodeType === Node.TEXT_NODE ? node.parentElement : node)?.closest?.('a');
    this.address.value = link?.getAttribute('href') || '';
    if (link && this.range) this.range.selectNodeContents(link);
    this.row.hidden = false;
    this.address.focus();
  }

  link() {
    let address = this.address.value.trim();
    if (address && !SAFE.test(address)) address = address.includes('@') ? `mailto:${address}` : `https://${address.replace(/^[a-z]+:\/*/i, '')}`;
    this.row.hidden = true;
    this.text.focus();
    if (this.range) {
      const selection = window.getSelection();
      selection.removeAllRanges();
      selection.addRange(this.range);
      if (!address) document.execCommand('unlink');
      else if (this.range.collapsed) {
        const link = create('a', address);
        link.setAttribute('href', address);
        this.insert(link.outerHTML);
      } else document.execCommand('createLink', false, address);
    }
    this.changed();
  }

  pasted(event) {
    const data = event.clipboardData;
    const html = data?.getData('text/html');
    event.preventDefault();
    if (html) this.insert(cleanHtml(html));
    else document.execCommand('insertText', false, data?.getData('text/plain') || '');
    this.changed();
  }

  changed() {
    this.area.value = cleanHtml(this.text.innerHTML).replaceAll('\u200b', '');
    this.area.dispatchEvent(new Event('input', { bubbles: true }));
    this.mark();
  }

  mark() {
    if (!this.inside()) return;
    const block = document.queryCommandValue('formatBlock').toLowerCase();
    for (const button of this.buttons) {
      const { command, value } = button.dataset;
      if (['link', 'table', 'row', 'column', 'removeFormat'].includes(command)) continue;
      button.setAttribute('aria-pressed', String(command === 'formatBlock' ? block === value : document.queryCommandState(command)));
    }
    const cell = this.cell();
    for (const button of this.buttons) if (['row', 'column'].includes(button.dataset.command)) button.disabled = !cell;
  }
}

for (const area of document.querySelectorAll('textarea[data-rich-text]')) new Editor(area);
