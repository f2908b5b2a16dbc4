// The picture of memory in one state: a cell for each piece, objects to scale where there is room for them.

const GUTTER = 132; // pixels for the address of a row
const ZOOMS = [
  { unit: 2 ** 24, width: 9, height: 11 },
  { unit: 2 ** 20, width: 9, height: 11 },
  { unit: 2 ** 18, width: 9, height: 11 },
  { unit: 2 ** 16, width: 9, height: 11 },
  { unit: 2 ** 15, width: 9, height: 11 },
  { unit: 2 ** 14, width: 9, height: 11 },
  { unit: 2 ** 13, width: 9, height: 11 },
  { unit: PAGE, width: 9, height: 11 },
  { unit: PAGE, width: 18, height: 16 },
  { unit: PAGE, width: 36, height: 20 },
  { unit: PAGE, width: 72, height: 22 },
  { unit: PAGE, width: 144, height: 24 },
  { unit: PAGE, width: 288, height: 26 },
  { unit: PAGE, width: 0, height: 30 },
  { unit: 1024, width: 0, height: 30 },
  { unit: 256, width: 0, height: 32 },
  { unit: 64, width: 0, height: 34 },
];
const TO_SCALE = 30; // pixels from which a cell shows its objects, not just how full it is

class MemoryMap {
  constructor(view) {
    this.view = view;
    this.layouts = new Map();
    this.canvas = el("canvas", { role: "img", "aria-label": "memory" });
    this.spacer = el("div", { class: "spacer" }, this.canvas);
    this.box = el(
      "div",
      { class: "map", tabindex: 0, role: "group", "aria-label": "Picture of memory; arrow keys go from object to object" },
      this.spacer,
    );
    this.tip = el("div", { class: "tip", hidden: true });
    this.out = el("button", { type: "button", "aria-label": "Zoom out", title: "Zoom out (-)", onclick: () => this.step(-1) }, "−");
    this.in = el("button", { type: "button", "aria-label": "Zoom in", title: "Zoom in (+)", onclick: () => this.step(1) }, "+");
    this.scale = el("span", { class: "scale" });
    this.draw = eachFrame(() => this.paint());
    this.box.addEventListener("scroll", this.draw);
    this.box.addEventListener("mousemove", (event) => this.hover(event));
    this.box.addEventListener("mouseleave", () => (this.tip.hidden = true));
    this.box.addEventListener("click", (event) => this.click(event));
    this.box.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.resize()).observe(this.box);
  }

  setChapter(chapter) {
    this.chapter = chapter;
    this.layouts.clear();
    this.zoom = -1;
    this.resize();
  }

  layout(unit) {
    if (!this.layouts.has(unit)) this.layouts.set(unit, new Layout(this.chapter, unit));
    return this.layouts.get(unit);
  }

  resize() {
    if (!this.chapter) return;
    this.width = Math.max(this.box.clientWidth, GUTTER + 60);
    this.height = this.box.clientHeight;
    if (this.zoom < 0) this.zoom = this.fitting();
    this.arrange();
  }

  // Return the nearest zoom at which all that there is fits into the view.
  fitting() {
    for (let zoom = ZOOMS.length - 1; zoom > 0; zoom--) {
      const { unit, width, height } = ZOOMS[zoom];
      const layout = this.layout(unit);
      if (layout.cells > MOST_CELLS / 2) continue;
      layout.wrap(this.columnsFor(width));
      if (layout.rows * (height + 2) <= this.height - 8) return zoom;
    }
    return 0;
  }

  columnsFor(width) {
    return width ? Math.max(1, Math.floor((this.width - GUTTER - 8) / width)) : 1;
  }

  step(by) {
    const zoom = clamp(this.zoom + by, 0, ZOOMS.length - 1);
    const { unit } = ZOOMS[zoom];
    if (zoom === this.zoom || this.layout(unit).cells > MOST_CELLS / 2) return;
    this.zoom = zoom;
    this.arrange();
    this.reveal();
  }

  arrange() {
    const { unit, width, height } = ZOOMS[this.zoom];
    this.shape = this.layout(unit);
    this.shape.wrap(this.columnsFor(width));
    this.cellWidth = width || this.width - GUTTER - 8;
    const room = Math.floor((this.height - 8) / Math.max(1, this.shape.rows)) - 2;
    this.cellHeight = height > 26 ? clamp(room, height, 46) : height;
    const { cellHeight } = this;
    this.rowHeight = cellHeight + 2;
    this.spacer.style.height = `${this.shape.rows * this.rowHeight + 8}px`;
    this.scale.textContent = `${sized(unit)} a cell`;
    this.paint();
  }

  // Scroll to what is selected, or to what is at fault.
  reveal() {
    const { chapter, view } = this;
    let place = -1;
    if (view.selected >= 0) place = chapter.at[view.selected];
    else if (chapter.isFaulty(view.k) && chapter.fault.marks.length) place = chapter.fault.marks[0].at;
    else if (view.k && chapter.made(view.k).length) place = chapter.at[chapter.made(view.k)[0]];
    if (place < 0) return;
    const top = this.shape.row[this.shape.cellAt(place)] * this.rowHeight;
    if (top < this.box.scrollTop || top + this.rowHeight > this.box.scrollTop + this.height) {
      this.box.scrollTop = Math.max(0, top - this.height / 2);
    }
  }

  paint() {
    if (!this.shape || !this.height) return;
    const ratio = window.devicePixelRatio || 1;
    const { canvas, width, height } = this;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    this.colours = Palette.current();
    this.shown = [];
    this.boxes = [];
    const top = this.box.scrollTop;
    const first = Math.floor(top / this.rowHeight);
    const last = Math.min(this.shape.rows - 1, Math.ceil((top + height) / this.rowHeight));
    if (!this.shape.cells) {
      pen.font = "13px system-ui, sans-serif";
      pen.fillStyle = this.colours.faint;
      pen.fillText("no object was made", 12, 24);
    }
    for (let row = first; row <= last; row++) this.paintRow(pen, row, row * this.rowHeight - top + 4);
    canvas.setAttribute("aria-label", this.view.summary());
  }

  paintRow(pen, row, y) {
    const { shape, chapter } = this;
    const begin = shape.rowFirst[row];
    const end = row + 1 < shape.rows ? shape.rowFirst[row + 1] : shape.cells;
    pen.font = "11px ui-monospace, monospace";
    pen.textBaseline = "middle";
    pen.fillStyle = this.colours.faint;
    pen.fillText(chapter.hex(shape.at[begin]), 4, y + this.cellHeight / 2);
    const runs = new Map();
    for (let cell = begin; cell < end; cell++) {
      const x = GUTTER + shape.column[cell] * this.cellWidth;
      this.paintCell(pen, cell, x, y, runs);
    }
    this.words = [];
    if (shape.pfn && this.cellWidth >= TO_SCALE * 2 && shape.unit >= PAGE) this.paintFree(begin, end, y);
    if (this.cellWidth >= TO_SCALE) this.paintRuns(pen, runs, y);
    for (let cell = begin; cell < end; cell++) if (shape.units[cell] > 1) this.paintFold(pen, cell, y);
    this.paintFault(pen, begin, end, y);
    for (const [text, left, middle, width, shade, behind] of this.words) this.word(pen, text, left, middle, width, shade, behind);
  }

  paintCell(pen, cell, x, y, runs) {
    const { shape, chapter, colours, view } = this;
    const width = this.cellWidth - (this.cellWidth > 12 ? 2 : 1);
    const start = shape.at[cell];
    const stop = start + shape.unit * shape.units[cell];
    pen.fillStyle = this.background(cell);
    pen.fillRect(x, y, width, this.cellHeight);
    const full = new Float64Array(FAMILIES.length);
    let newest = 0;
    let guarded = false;
    const { begin, ids } = shape.lives;
    for (let at = begin[cell]; at < begin[cell + 1]; at++) {
      const id = ids[at];
      const gone = chapter.to[id] === view.k;
      if (!gone && !chapter.isLive(id, view.k)) continue;
      const from = Math.max(chapter.at[id], start);
      const to = Math.min(chapter.end(id), stop);
      if (chapter.from[id] === view.k && view.k) newest = 1;
      if (gone && !newest) newest = 2;
      if (!gone) this.shown.push(id);
      if (this.cellWidth < TO_SCALE) {
        guarded ||= !gone && chapter.guard[id] > 0 && chapter.end(id) < stop && chapter.end(id) + chapter.guard[id] > start;
        if (!gone && to > from) full[chapter.family[id]] += view.isHidden(id) ? 0 : to - from;
        if (view.marksOut(id)) newest = 3;
        continue;
      }
      const scale = width / (stop - start);
      const run = runs.get(id) || { x, gone, id, guard: 0 };
      if (to > from) {
        run.from ??= x + (from - start) * scale;
        run.to = x + (to - start) * scale;
      }
      const guardFrom = Math.max(chapter.end(id), start);
      const guardTo = Math.min(chapter.end(id) + chapter.guard[id], stop);
      if (guardTo > guardFrom) run.guard = [x + (guardFrom - start) * scale, x + (guardTo - start) * scale];
      runs.set(id, run);
    }
    if (this.cellWidth >= TO_SCALE) return;
    if (guarded) Palette.hatch(pen, x, y, width, this.cellHeight, colours.guard);
    this.paintFull(pen, full, stop - start, x, y, width, newest);
  }

  // Fill a small cell from below with what its families have of it.
  paintFull(pen, full, all, x, y, width, newest) {
    let base = y + this.cellHeight;
    full.forEach((bytes, family) => {
      if (!bytes) return;
      const part = Math.max(1.5, (bytes / all) * this.cellHeight);
      pen.fillStyle = this.colours.family[family];
      pen.fillRect(x, Math.max(y, base - part), width, Math.min(part, base - y));
      base -= part;
    });
    if (!newest) return;
    pen.strokeStyle = newest === 2 ? this.colours.faint : this.colours.accent;
    pen.lineWidth = newest === 3 ? 2 : 1.5;
    pen.strokeRect(x + 0.5, y + 0.5, width - 1, this.cellHeight - 1);
  }

  paintRuns(pen, runs, y) {
    const { chapter, colours, view } = this;
    const height = this.cellHeight;
    for (const run of runs.values()) {
      const { id } = run;
      if (run.guard) Palette.hatch(pen, run.guard[0], y, run.guard[1] - run.guard[0], height, colours.guard);
      if (run.guard && run.guard[1] - run.guard[0] > 44) {
        this.words.push(["guard", run.guard[0], y + height / 2, run.guard[1] - run.guard[0], colours.faint, colours.cell]);
      }
      if (run.from === undefined) continue;
      const width = Math.max(1.5, run.to - run.from - 0.5);
      const hidden = view.isHidden(id);
      this.boxes.push({ id, x: run.from, y, width, height });
      if (run.gone) {
        pen.setLineDash([3, 3]);
        pen.strokeStyle = colours.faint;
        pen.lineWidth = 1;
        pen.strokeRect(run.from + 0.5, y + 0.5, width - 1, height - 1);
        pen.setLineDash([]);
        if (width > 60) this.words.push([`${chapter.label[id]} freed`, run.from, y + height / 2, width, colours.faint]);
        continue;
      }
      // What is at fault takes the lower half, so that another owner of the same bytes is seen as well.
      const low = this.isBlamed(id) ? height / 2 : 0;
      pen.fillStyle = hidden ? colours.hidden : colours.family[chapter.family[id]];
      pen.fillRect(run.from, y + low, width, height - low);
      if (chapter.from[id] === view.k && view.k && !hidden && !low) this.outline(pen, run.from, y, width, height, colours.text, 1.5);
      if (view.marksOut(id)) this.outline(pen, run.from, y + low, width, height - low, colours.accent, 3);
      const middle = y + (this.isOther(id) ? height / 4 : (height + low) / 2);
      if (width > 14 && !hidden) {
        const shade = colours.family[chapter.family[id]];
        this.words.push([this.caption(id, width), run.from, middle, width, colours.onFamily, shade]);
      }
    }
  }

  isBlamed(id) {
    const { fault } = this.chapter;
    return fault !== null && fault.marks.length > 1 && fault.marks[0].life === id;
  }

  isOther(id) {
    const { chapter } = this;
    return chapter.isFaulty(this.view.k) && chapter.fault.marks.some((mark, place) => place && mark.life === id);
  }

  caption(id, width) {
    const { chapter } = this;
    const label = chapter.label[id];
    if (width < 90) return label;
    const pages = chapter.length[id] / PAGE;
    const block = FAMILIES[chapter.family[id]] === "page" && Number.isInteger(Math.log2(pages));
    const size = `${label}  ${block ? `order ${Math.log2(pages)}` : sized(chapter.length[id])}`;
    return width < 190 ? size : `${size}  ${chapter.api[id]}`;
  }

  // Write a word into a box, on a ground of its own where something else may be below it.
  word(pen, text, x, middle, width, shade, ground) {
    pen.save();
    pen.beginPath();
    pen.rect(x, middle - 10, width - 2, 20);
    pen.clip();
    if (ground) {
      pen.fillStyle = ground;
      pen.fillRect(x + 3, middle - 7, Math.min(pen.measureText(text).width + 3, width - 6), 14);
    }
    pen.fillStyle = shade;
    pen.fillText(text, x + 4, middle + 0.5);
    pen.restore();
  }

  outline(pen, x, y, width, height, shade, thick) {
    pen.strokeStyle = shade;
    pen.lineWidth = thick;
    pen.strokeRect(x + thick / 2, y + thick / 2, Math.max(1, width - thick), height - thick);
  }

  // Say in a cell how many units it stands for.
  paintFold(pen, cell, y) {
    const { shape, colours, cellWidth, cellHeight } = this;
    const x = GUTTER + shape.column[cell] * cellWidth;
    const size = sized(shape.units[cell] * shape.unit);
    const text = cellWidth > 200 ? `… ${size} more of it …` : cellWidth > 60 ? `…${size}…` : "…";
    const width = Math.min(cellWidth - 2, pen.measureText(text).width + 8);
    const middle = x + (cellWidth - 2) / 2;
    pen.fillStyle = colours.cell;
    pen.fillRect(middle - width / 2, y + 1, width, cellHeight - 2);
    pen.fillStyle = colours.text;
    pen.textAlign = "center";
    pen.fillText(text, middle, y + cellHeight / 2, cellWidth - 2);
    pen.textAlign = "left";
  }

  // Return the shade behind a cell: of a slab, of a frame behind an area, of a free block, of nothing known.
  background(cell) {
    const { shape, colours, chapter, view } = this;
    for (const [name, shade] of [["slabs", colours.slab], ["frames", colours.frame]]) {
      const { begin, ids } = shape[name];
      for (let at = begin[cell]; at < begin[cell + 1]; at++) {
        const part = chapter.inside[name];
        if (part.from[ids[at]] <= view.k && view.k < part.to[ids[at]]) return shade;
      }
    }
    return shape.pfn && shape.pfn[cell] >= 0 && chapter.freeBlock(shape.pfn[cell], view.k) ? colours.free : colours.cell;
  }

  // Write at the head of each free block of the model what its order is, or where its part of a row begins.
  paintFree(begin, end, y) {
    const { shape, chapter, view, cellWidth } = this;
    let before = -1;
    for (let cell = begin; cell < end; cell++) {
      const block = shape.pfn[cell] < 0 ? null : chapter.freeBlock(shape.pfn[cell], view.k);
      if (block && block.head !== before) {
        const x = GUTTER + shape.column[cell] * cellWidth;
        this.words.push([`free, order ${block.order}`, x, y + this.cellHeight / 2, cellWidth * 2, this.colours.faint]);
      }
      before = block ? block.head : -1;
    }
  }

  // Mark the bytes at fault and both owners, from the call at fault on.
  paintFault(pen, begin, end, y) {
    const { chapter, shape, colours, view } = this;
    if (!chapter.isFaulty(view.k)) return;
    const rowStart = shape.at[begin];
    const rowEnd = shape.at[end - 1] + shape.unit * shape.units[end - 1];
    const shared = view.scenery ? view.scenery.shared : null;
    const drawn = (start, stop) => {
      const from = this.xOf(Math.max(start, rowStart), begin, end);
      return [from, Math.max(from + 4, this.xOf(Math.min(stop, rowEnd), begin, end))];
    };
    const within = (start, stop) => start < rowEnd && stop > rowStart;
    if (shared && within(shared[0], shared[1])) {
      const [from, to] = drawn(shared[0], shared[1]);
      Palette.hatch(pen, from, y, to - from, this.cellHeight, colours.fault);
    }
    chapter.fault.marks.forEach((mark, place) => {
      if (!within(mark.at, mark.at + mark.length)) return;
      const [from, to] = drawn(mark.at, mark.at + mark.length);
      const low = place || chapter.fault.marks.length < 2 ? 0 : this.cellHeight / 2;
      this.outline(pen, from, y + low, to - from, this.cellHeight - low, colours.fault, place ? 1.5 : 2.5);
      if (mark.byte >= 0 && within(mark.at + mark.byte, mark.at + mark.byte + 1)) {
        const [left, right] = drawn(mark.at + mark.byte, mark.at + mark.byte + 1);
        pen.fillStyle = colours.fault;
        pen.fillRect(left, y - 1, Math.min(right - left, 12), this.cellHeight + 2);
      }
      this.boxes.push({ id: mark.life, x: from, y: y + low, width: to - from, height: this.cellHeight - low });
    });
  }

  xOf(place, begin, end) {
    const { shape } = this;
    let cell = clamp(shape.cellAt(place), begin, end - 1);
    if (shape.at[cell] === place && cell > begin && shape.at[cell - 1] + shape.unit === place) cell--;
    const part = (place - shape.at[cell]) / (shape.unit * shape.units[cell]);
    return GUTTER + shape.column[cell] * this.cellWidth + clamp(part, 0, 1) * (this.cellWidth - 2);
  }

  // Return what is drawn under the pointer: a life, or -1, and the place in memory.
  under(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const x = event.clientX - bounds.left;
    const y = event.clientY - bounds.top;
    const row = Math.floor((y - 4 + this.box.scrollTop) / this.rowHeight);
    if (x < GUTTER || row < 0 || row >= this.shape.rows) return null;
    const column = Math.floor((x - GUTTER) / this.cellWidth);
    const begin = this.shape.rowFirst[row];
    const end = row + 1 < this.shape.rows ? this.shape.rowFirst[row + 1] : this.shape.cells;
    let cell = begin;
    while (cell + 1 < end && this.shape.column[cell] < column) cell++;
    if (this.shape.column[cell] !== column) return null;
    const inCell = (x - GUTTER - column * this.cellWidth) / this.cellWidth;
    const place = Math.floor(this.shape.at[cell] + inCell * this.shape.unit * this.shape.units[cell]);
    const box = this.boxes.findLast((each) => x >= each.x && x <= each.x + each.width && y >= each.y && y <= each.y + each.height);
    return { place, cell, id: box ? box.id : this.liveAt(place, cell) };
  }

  liveAt(place, cell) {
    const { begin, ids } = this.shape.lives;
    const { chapter, view } = this;
    let best = -1;
    for (let at = begin[cell]; at < begin[cell + 1]; at++) {
      const id = ids[at];
      if (!chapter.isLive(id, view.k)) continue;
      if (chapter.at[id] <= place && place < chapter.end(id)) return id;
      best = id;
    }
    return this.cellWidth < TO_SCALE ? best : -1;
  }

  hover(event) {
    const found = this.under(event);
    this.tip.hidden = !found;
    if (!found) return;
    this.tip.replaceChildren(...this.view.tipOf(found));
    const bounds = this.box.getBoundingClientRect();
    this.tip.style.left = `${clamp(event.clientX - bounds.left + 14, 0, bounds.width - 260)}px`;
    this.tip.style.top = `${event.clientY - bounds.top + 18}px`;
  }

  click(event) {
    const found = this.under(event);
    if (found) this.view.select(found.id);
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const live = this.chapter.live(this.view.k).filter((id) => !this.view.isHidden(id));
    if (!live.length) return;
    const at = live.indexOf(this.view.selected);
    this.view.select(live[at < 0 ? 0 : (at + step + live.length) % live.length], true);
  }
}

// The colours of the page as a canvas needs them, light or dark.
class Palette {
  static current() {
    const named = Object.fromEntries(
      ["text", "faint", "cell", "free", "slab", "frame", "guard", "hidden", "accent", "fault"].map((name) => [name, colour(name)]),
    );
    named.family = FAMILIES.map((family) => colour(family));
    named.onFamily = colour("on-family");
    return named;
  }

  static hatch(pen, x, y, width, height, shade) {
    if (width < 1) return;
    pen.save();
    pen.beginPath();
    pen.rect(x, y, width, height);
    pen.clip();
    pen.strokeStyle = shade;
    pen.lineWidth = 1.2;
    pen.beginPath();
    for (let at = x - height; at < x + width; at += 5) {
      pen.moveTo(at, y + height);
      pen.lineTo(at + height, y);
    }
    pen.stroke();
    pen.restore();
  }
}
