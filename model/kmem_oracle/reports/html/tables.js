// Tables that sort by their heads, and that say how many rows they leave out.

class SortedTable {
  // A column has a head, a value to sort by, and what a cell shows; numbers begin with the largest.
  constructor(name, columns, rows, most = 1000) {
    this.columns = columns;
    this.all = rows;
    this.most = most;
    this.by = -1;
    this.down = false;
    this.keep = () => true;
    this.body = el("tbody", {});
    this.caption = el("caption", { "aria-live": "polite" });
    this.name = name;
    this.heads = columns.map((column, place) =>
      el("th", { scope: "col", "aria-sort": "none", class: column.number ? "number" : null },
        el("button", { type: "button", class: "head", onclick: () => this.sort(place) }, column.head)),
    );
    this.element = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": name },
      el("table", {}, this.caption, el("thead", {}, el("tr", {}, ...this.heads)), this.body));
    this.show();
  }

  sort(place) {
    this.down = this.by === place ? !this.down : Boolean(this.columns[place].number);
    this.by = place;
    this.heads.forEach((head, at) => head.setAttribute("aria-sort", at !== place ? "none" : this.down ? "descending" : "ascending"));
    this.show();
  }

  filter(keep) {
    this.keep = keep;
    this.show();
  }

  show() {
    let rows = this.all.filter(this.keep);
    if (this.by >= 0) {
      const { value } = this.columns[this.by];
      const order = (one, two) => (value(one) < value(two) ? -1 : value(one) > value(two) ? 1 : 0);
      rows = rows.slice().sort((one, two) => (this.down ? order(two, one) : order(one, two)));
    }
    const more = rows.length > this.most ? `, the first ${this.most.toLocaleString("en")} shown` : "";
    this.caption.textContent = `${this.name}: ${rows.length.toLocaleString("en")} of ${this.all.length.toLocaleString("en")}${more}`;
    this.body.replaceChildren(...rows.slice(0, this.most).map((row) => this.row(row)));
  }

  row(row) {
    const cells = this.columns.map((column, place) => {
      const shown = column.show ? column.show(row) : column.value(row);
      const text = typeof shown === "number" ? shown.toLocaleString("en") : shown;
      const kind = `${column.number ? "number " : ""}${column.mono || column.number ? "mono" : ""}`;
      return place ? el("td", { class: kind }, text) : el("th", { scope: "row", class: kind }, text);
    });
    return el("tr", {}, ...cells);
  }
}

// A bar beside a number: what part of the largest it is.
function bar(part, text) {
  const inner = el("span", { class: "meter-part" });
  inner.style.width = `${Math.max(part > 0 ? 1 : 0, part * 100)}%`;
  return el("span", { class: "metered" }, el("span", { class: "meter", "aria-hidden": "true" }, inner), text);
}

function tiles(entries) {
  return el("dl", { class: "tiles" }, ...entries.map(([name, value, note]) => el("div", {}, el("dt", {}, name), el("dd", {}, value), note ? el("dd", { class: "hint" }, note) : null)));
}

function searchBox(label, found) {
  const input = el("input", { type: "search", placeholder: label, "aria-label": label, oninput: () => found(input.value.trim().toLowerCase()) });
  return input;
}
