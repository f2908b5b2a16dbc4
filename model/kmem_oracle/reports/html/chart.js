// Areas on top of one another over time, with the values under the pointer in words.

const CHART = { width: 1200, height: 260, left: 80, right: 16, top: 12, bottom: 34 };

class Areas {
  // A series has a name, a colour's name and a value for each sample; `where` are the samples' places in time.
  constructor(where, series, axis) {
    this.where = where;
    this.all = series;
    this.axis = axis;
    this.hidden = new Set();
    this.now = el("p", { class: "now", role: "status" });
    this.line = svg("line", { class: "pointer", y1: CHART.top, y2: CHART.height - CHART.bottom });
    this.picture = svg("svg", { class: "areas", viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: "img", tabindex: 0 });
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    this.picture.addEventListener("keydown", (event) => this.key(event));
    const chips = series.map((each) => this.chip(each));
    this.element = el("div", { class: "chart-box" }, el("div", { class: "chips", role: "group", "aria-label": "Kinds shown" }, ...chips), this.picture, this.now);
    this.at = where.length - 1;
    this.draw();
  }

  chip(series) {
    const chip = el(
      "button",
      { type: "button", class: "chip", "aria-pressed": "true", onclick: () => this.toggle(series, chip) },
      el("span", { class: `swatch ${series.colour}` }),
      series.name,
    );
    return chip;
  }

  // Show a kind or leave it out; what is left is drawn as large as it can be.
  toggle(series, chip) {
    if (!this.hidden.delete(series)) this.hidden.add(series);
    chip.setAttribute("aria-pressed", String(!this.hidden.has(series)));
    this.draw();
  }

  draw() {
    this.series = this.all.filter((each) => !this.hidden.has(each));
    this.totals = this.where.map((_, at) => this.series.reduce((sum, each) => sum + each.values[at], 0));
    this.most = this.totals.reduce((most, total) => Math.max(most, total), 1);
    this.picture.replaceChildren(...this.grid(), ...this.shapes(), this.line);
    this.picture.setAttribute("aria-label", this.words());
    this.say();
  }

  x(at) {
    const first = this.where[0];
    const span = this.where[this.where.length - 1] - first || 1;
    return CHART.left + ((this.where[at] - first) / span) * (CHART.width - CHART.left - CHART.right);
  }

  y(value) {
    return CHART.height - CHART.bottom - (value / this.most) * (CHART.height - CHART.top - CHART.bottom);
  }

  grid() {
    const parts = [];
    for (const part of [0, 0.25, 0.5, 0.75, 1]) {
      const y = this.y(this.most * part);
      parts.push(
        svg("line", { class: "grid", x1: CHART.left, x2: CHART.width - CHART.right, y1: y, y2: y }),
        svg("text", { class: "tick", x: CHART.left - 8, y: y + 4, "text-anchor": "end" }, sized(Math.round(this.most * part))),
      );
    }
    const last = this.where.length - 1;
    for (const at of last > 0 ? [0, Math.round(last / 2), last] : []) {
      const anchor = at === 0 ? "start" : at === last ? "end" : "middle";
      parts.push(svg("text", { class: "tick", x: this.x(at), y: CHART.height - 10, "text-anchor": anchor }, this.axis(at)));
    }
    return parts;
  }

  shapes() {
    const below = this.where.map(() => 0);
    return this.series.map((each) => {
      const under = this.where.map((_, at) => `${this.x(at)},${this.y(below[at])}`).reverse();
      each.values.forEach((value, at) => (below[at] += value));
      const over = this.where.map((_, at) => `${this.x(at)},${this.y(below[at])}`);
      return svg("polygon", { class: `area ${each.colour}`, points: [...over, ...under].join(" ") });
    });
  }

  words() {
    const last = this.where.length - 1;
    if (last < 0) return "nothing was sampled";
    const peak = Math.max(0, this.totals.indexOf(this.most));
    return `Live bytes from ${this.axis(0)} to ${this.axis(last)}: at most ${sized(this.totals[peak])} at ${this.axis(peak)}, at the end ${sized(this.totals[last])}. Arrow keys go from sample to sample.`;
  }

  point(event) {
    const bounds = this.picture.getBoundingClientRect();
    const x = ((event.clientX - bounds.left) / bounds.width) * CHART.width;
    let best = 0;
    this.where.forEach((_, at) => Math.abs(this.x(at) - x) < Math.abs(this.x(best) - x) && (best = at));
    this.at = best;
    this.say();
  }

  key(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    this.at = clamp(this.at + by, 0, this.where.length - 1);
    this.say();
  }

  say() {
    const x = this.x(this.at);
    for (const end of ["x1", "x2"]) this.line.setAttribute(end, x);
    const parts = this.series.map((each) => `${each.name} ${sized(each.values[this.at])}`);
    this.now.textContent = `${this.axis(this.at)}: ${sized(this.totals[this.at])} (${parts.join(", ")})`;
  }
}
