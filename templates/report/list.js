// Drawing only the rows that are in sight, out of as many as there are.
// The style says how high rows and groups are; the details of a finding are measured.

const AHEAD = 8; // rows drawn beyond either edge
const MOST = 250_000; // rows: browsers draw nothing that is higher than about 17 million pixels
const PRINTED = 1_000;

/** A list of rows, each a finding or a group, in a scroller. */
class List {
  constructor({ scroller, body, table, make }) {
    this.scroller = scroller;
    this.body = body;
    this.table = table;
    this.make = make; // returns the row of an item
    this.items = [];
    this.places = new Map(); // of opened findings: their number among the items
    this.heights = new Map(); // of details, by finding
    this.drawn = new Map(); // rows by number
    this.groupsAt = []; // the numbers of groups among the items
    this.opened = []; // opened findings with their numbers, in order
    this.high = { row: 0, group: 0 };
    this.printing = false;
    let asked = 0;
    scroller.addEventListener("scroll", () => {
      cancelAnimationFrame(asked);
      asked = requestAnimationFrame(() => this.draw());
    }, { passive: true });
    let width = 0;
    new ResizeObserver(() => {
      if (scroller.clientWidth === width) return;
      width = scroller.clientWidth;
      this.redraw();
    }).observe(scroller);
  }

  /** Show other items; what is open stays so. */
  show(items) {
    this.clear();
    this.items = items.slice(0, MOST);
    this.groupsAt = [...this.items.keys()].filter((at) => "findings" in this.items[at]);
    this.table.setAttribute("aria-rowcount", this.items.length + 1);
    this.place();
    this.redraw();
  }

  /** Find where the opened findings are now. */
  place() {
    this.places = new Map();
    for (const finding of this.heights.keys()) {
      const at = this.items.indexOf(finding);
      if (at >= 0) this.places.set(finding, at);
    }
    this.opened = [...this.places].map(([finding, at]) => ({ finding, at })).sort((a, b) => a.at - b.at);
  }

  /** Draw the same items anew; the row that has the focus keeps it. */
  redraw() {
    const focused = this.focused();
    this.clear();
    for (const kind of Object.keys(this.high)) this.high[kind] = lengthOf(this.scroller, `--${kind}`);
    this.draw();
    this.drawn.get(focused)?.querySelector(".toggle").focus({ preventScroll: true });
  }

  /** Return the number of the row that has the focus, in itself or in its details; or null. */
  focused() {
    if (!this.body.contains(document.activeElement)) return null;
    const row = document.activeElement.closest("tr");
    return this.numberOf(row.matches(".detail") ? row.previousElementSibling : row);
  }

  clear() {
    const focused = this.body.contains(document.activeElement);
    this.drawn.clear();
    this.body.replaceChildren();
    if (focused) this.scroller.focus({ preventScroll: true });
  }

  /** Return how far below the first row a row begins. */
  offset(at) {
    const groups = before(this.groupsAt, at);
    let sum = (at - groups) * this.high.row + groups * this.high.group;
    for (const one of this.opened) {
      if (one.at >= at) break;
      sum += this.heights.get(one.finding);
    }
    return sum;
  }

  /** Return the number of the row so far below the first one. */
  rowAt(y) {
    let low = 0;
    let high = this.items.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.offset(middle) <= y) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Draw the rows in sight, and take away the others. */
  draw() {
    if (this.printing) return;
    if (this.items.length === 0) return this.pad(0, 0);
    const top = this.scroller.scrollTop;
    const from = Math.max(0, this.rowAt(top) - AHEAD);
    const to = Math.min(this.items.length, this.rowAt(top + this.scroller.clientHeight) + 1 + AHEAD);
    // Never less high than it will be, or the browser would scroll up.
    this.pad(this.offset(from), this.offset(this.items.length) - this.offset(to));
    this.drawBetween(from, to);
    this.measure();
    this.pad(this.offset(from), this.offset(this.items.length) - this.offset(to));
  }

  drawBetween(from, to) {
    for (let at = from; at < to; at += 1) if (!this.drawn.has(at)) this.insert(at);
    for (const [at, row] of this.drawn) {
      if (at >= from && at < to) continue;
      if (row.contains(document.activeElement)) this.scroller.focus({ preventScroll: true });
      if (this.places.get(this.items[at]) === at) row.nextElementSibling?.remove();
      row.remove();
      this.drawn.delete(at);
    }
  }

  insert(at) {
    const item = this.items[at];
    const row = this.make(item);
    row.setAttribute("aria-rowindex", at + 2);
    let next = null;
    for (const [other, drawn] of this.drawn) {
      if (other > at && (next === null || other < next.at)) next = { at: other, drawn };
    }
    this.body.insertBefore(row, next?.drawn ?? null);
    this.drawn.set(at, row);
    if (this.places.has(item)) this.showDetail(item, row);
  }

  showDetail(finding, row) {
    const detail = detailRow(finding);
    row.after(detail);
    setExpanded(row, detail.id);
    return detail;
  }

  measure() {
    for (const { finding, at } of this.opened) {
      const row = this.drawn.get(at);
      if (row) this.heights.set(finding, row.nextElementSibling.getBoundingClientRect().height);
    }
  }

  pad(above, below) {
    this.body.style.paddingTop = `${above}px`;
    this.body.style.paddingBottom = `${below}px`;
  }

  isOpen(finding) {
    return this.heights.has(finding);
  }

  open(finding) {
    if (this.isOpen(finding)) return;
    this.heights.set(finding, 0);
    this.place();
    const row = this.drawn.get(this.places.get(finding));
    if (row) this.showDetail(finding, row);
    this.draw();
  }

  close(finding) {
    const row = this.drawn.get(this.places.get(finding));
    if (row) {
      row.nextElementSibling.remove();
      setExpanded(row, null);
    }
    this.heights.delete(finding);
    this.place();
    this.draw();
  }

  /** Scroll to an item and return its row; null where it is not among the items. */
  reveal(item) {
    const at = this.items.indexOf(item);
    if (at < 0) return null;
    this.draw();
    const room = Math.max(0, this.scroller.clientHeight - this.high.row) / 3;
    this.scroller.scrollTop = this.offset(at) - room;
    this.draw();
    return this.drawn.get(at);
  }

  /** Return the number of a drawn row. */
  numberOf(row) {
    return Number(row.getAttribute("aria-rowindex")) - 2;
  }

  /** Give the focus to the button of a row, drawing it where it is not. */
  focus(at) {
    const wanted = Math.min(Math.max(at, 0), this.items.length - 1);
    const height = this.scroller.clientHeight - this.table.tHead.offsetHeight;
    const top = this.offset(wanted);
    const bottom = top + ("findings" in this.items[wanted] ? this.high.group : this.high.row);
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (bottom > this.scroller.scrollTop + height) this.scroller.scrollTop = bottom - height;
    this.draw();
    this.drawn.get(wanted)?.querySelector(".toggle").focus({ preventScroll: true });
  }

  /** Draw the first rows, all at once, and return how many are left out. */
  startPrinting() {
    this.printing = true;
    this.left = this.scroller.scrollTop;
    this.clear();
    const to = Math.min(PRINTED, this.items.length);
    for (let at = 0; at < to; at += 1) this.insert(at);
    this.pad(0, 0);
    return this.items.length - to;
  }

  stopPrinting() {
    this.printing = false;
    this.pad(0, this.offset(this.items.length));
    this.scroller.scrollTop = this.left;
    this.redraw();
  }
}

/** Return how many of the numbers, which are in order, are below one. */
function before(numbers, at) {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Return the pixels of a length that the style gives in rem. */
function lengthOf(styled, name) {
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  return parseFloat(getComputedStyle(styled).getPropertyValue(name)) * rem;
}

/** Say on a row's button whether its details are shown, and which they are. */
function setExpanded(row, id) {
  const button = row.querySelector(".toggle");
  button.setAttribute("aria-expanded", String(id !== null));
  if (id === null) button.removeAttribute("aria-controls");
  else button.setAttribute("aria-controls", id);
}
