// Which pieces of memory are drawn: cells of one unit each, only where there is something at some time.

// Cells of a long extent before its middle is folded, and behind: of pages, and of smaller units.
const SHOWN_FIRST = { pages: 96, less: 20 };
const SHOWN_LAST = { pages: 32, less: 6 };
const MOST_CELLS = 300000;

class Layout {
  constructor(chapter, unit) {
    this.chapter = chapter;
    this.unit = unit;
    const extents = Layout.extents(chapter);
    const shown = [];
    const covered = [];
    const size = unit < PAGE ? "less" : "pages";
    for (const [start, end] of extents) {
      const first = Math.floor(start / unit);
      const last = Math.floor((end - 1) / unit);
      covered.push([first, last]);
      if (last - first < SHOWN_FIRST[size] + SHOWN_LAST[size] + 4) shown.push([first, last]);
      else shown.push([first, first + SHOWN_FIRST[size] - 1], [last - SHOWN_LAST[size] + 1, last]);
    }
    this.place(Layout.joined(shown), Layout.joined(covered));
    this.index(extents);
  }

  static extents(chapter) {
    const extents = [];
    for (let id = 0; id < chapter.lives; id++) {
      extents.push([chapter.at[id], chapter.end(id) + chapter.guard[id]]);
    }
    for (const mark of chapter.fault ? chapter.fault.marks : []) extents.push([mark.at, mark.at + mark.length]);
    if (chapter.inside) {
      const { slabs, frames } = chapter.inside;
      slabs.at.forEach((at, slab) => extents.push([at, at + PAGE * 2 ** slabs.order[slab]]));
      frames.at.forEach((at) => extents.push([at, at + PAGE]));
    }
    return extents;
  }

  static joined(intervals) {
    const joined = [];
    for (const [first, last] of intervals.sort((one, two) => one[0] - two[0])) {
      const before = joined[joined.length - 1];
      if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
      else joined.push([first, last]);
    }
    return joined;
  }

  // Lay out the cells: `at` is where each begins, `units` how many it stands for, `gap` whether one is before.
  place(shown, covered) {
    const at = [];
    const units = [];
    const gap = [];
    let cover = 0;
    let following = -1;
    for (const [first, last] of shown) {
      while (covered[cover][1] < first) cover++;
      const folded = following >= 0 && covered[cover][0] < following ? first - following : 0;
      if (folded) {
        at.push(following * this.unit);
        units.push(folded);
        gap.push(0);
      }
      for (let number = first; number <= last && at.length < MOST_CELLS; number++) {
        at.push(number * this.unit);
        units.push(1);
        gap.push(number === first && !folded ? 1 : 0);
      }
      following = last + 1;
    }
    this.at = Float64Array.from(at);
    this.units = Uint32Array.from(units);
    this.gap = Uint8Array.from(gap);
    this.cells = at.length;
  }

  // Note which lives, slabs and frames are in which cell at any time.
  index() {
    const { chapter } = this;
    this.lives = this.spread(chapter.lives, (id) => [chapter.at[id], chapter.end(id) + chapter.guard[id]]);
    this.pfn = chapter.inside ? Float64Array.from(this.at, (at) => chapter.pfn(at)) : null;
    const inside = chapter.inside || { slabs: { at: [] }, frames: { at: [] } };
    const { slabs, frames } = inside;
    this.slabs = this.spread(slabs.at.length, (id) => [slabs.at[id], slabs.at[id] + PAGE * 2 ** slabs.order[id]]);
    this.frames = this.spread(frames.at.length, (id) => [frames.at[id], frames.at[id] + PAGE]);
  }

  spread(count, extent) {
    const begin = new Uint32Array(this.cells + 1);
    const bounds = [];
    for (let id = 0; id < count; id++) {
      const [start, end] = extent(id);
      const first = this.cellAt(start);
      let last = first;
      while (last + 1 < this.cells && this.at[last + 1] < end) last++;
      bounds.push([first, last]);
      for (let cell = first; cell <= last; cell++) begin[cell + 1]++;
    }
    for (let cell = 0; cell < this.cells; cell++) begin[cell + 1] += begin[cell];
    const next = begin.slice();
    const ids = new Uint32Array(begin[this.cells]);
    bounds.forEach(([first, last], id) => {
      for (let cell = first; cell <= last; cell++) ids[next[cell]++] = id;
    });
    return { begin, ids };
  }

  // Return the last cell that begins at or before a place.
  cellAt(place) {
    let low = 0;
    let high = this.cells - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.at[middle] <= place) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // Wrap the cells into rows of so many columns; where a row holds few, each region begins one.
  wrap(columns) {
    this.columns = columns;
    this.row = new Uint32Array(this.cells);
    this.column = new Uint32Array(this.cells);
    this.rowFirst = [];
    let row = -1;
    let column = columns;
    for (let cell = 0; cell < this.cells; cell++) {
      if (this.gap[cell] && cell) column = columns <= 16 ? columns : column + 1;
      if (column >= columns) {
        row++;
        column = 0;
        this.rowFirst.push(cell);
      }
      this.row[cell] = row;
      this.column[cell] = column++;
    }
    this.rows = row + 1;
  }
}
