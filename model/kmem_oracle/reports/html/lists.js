// The calls, as many as there are, of which only those in view are in the page.

const ROW = 22; // pixels

class Calls {
  constructor(view) {
    this.view = view;
    this.body = el("div", { class: "calls-body" });
    this.box = el(
      "div",
      { class: "calls", role: "listbox", tabindex: 0, "aria-label": "Calls; arrow keys go from call to call" },
      this.body,
    );
    this.draw = eachFrame(() => this.paint());
    this.box.addEventListener("scroll", this.draw);
    this.box.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  setChapter(chapter) {
    this.chapter = chapter;
    this.filter();
  }

  // Choose the calls of families that are not hidden.
  filter() {
    const { chapter, view } = this;
    this.calls = [];
    for (let call = 0; call < chapter.count; call++) {
      if (!view.hidden.size || !view.hidden.has(chapter.familyOf(call))) this.calls.push(call);
    }
    this.body.style.height = `${this.calls.length * ROW}px`;
    this.update();
  }

  // Bring the present call into view.
  update() {
    const row = this.rowOf(this.view.k - 1);
    const top = row * ROW;
    if (top < this.box.scrollTop || top + ROW > this.box.scrollTop + this.box.clientHeight) {
      this.box.scrollTop = Math.max(0, top - this.box.clientHeight / 2);
    }
    this.draw();
  }

  // Return the place in the list of a call, or of the last one before it.
  rowOf(call) {
    let low = 0;
    let high = this.calls.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.calls[middle] <= call) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  paint() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - 4);
    const last = Math.min(this.calls.length, first + Math.ceil(this.box.clientHeight / ROW) + 8);
    const rows = [];
    for (let row = first; row < last; row++) rows.push(this.row(this.calls[row], row));
    this.body.replaceChildren(...rows);
    const present = this.view.k - 1;
    this.box.setAttribute("aria-activedescendant", `call-${present}`);
  }

  row(call, row) {
    const { chapter, view } = this;
    const family = chapter.familyOf(call);
    const { fault } = chapter;
    const kinds = ["call"];
    if (call === view.k - 1) kinds.push("present");
    if (call >= view.k) kinds.push("later");
    if (fault && fault.call === call) kinds.push("faulty");
    else if (fault && fault.others.includes(call)) kinds.push("owner-call");
    if (view.selected >= 0 && (chapter.from[view.selected] === call + 1 || chapter.to[view.selected] === call + 1)) kinds.push("of-selected");
    const element = el(
      "div",
      {
        class: kinds.join(" "),
        id: `call-${call}`,
        role: "option",
        "aria-selected": call === view.k - 1 ? "true" : "false",
        "aria-setsize": this.calls.length,
        "aria-posinset": row + 1,
        onclick: () => view.take(call),
      },
      el("span", { class: "nr" }, (call + 1).toLocaleString("en")),
      el("span", { class: `swatch ${family < 0 ? "none" : FAMILIES[family]}` }),
      el("span", { class: "line" }, chapter.lines[call]),
      el("span", { class: "gave" }, chapter.outcome(call)),
    );
    element.style.top = `${row * ROW}px`;
    return element;
  }

  key(event) {
    const page = Math.floor(this.box.clientHeight / ROW);
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page }[event.key];
    const { calls } = this;
    let row = by ? clamp(this.rowOf(this.view.k - 1) + by, 0, calls.length - 1) : -1;
    if (event.key === "Home") row = 0;
    if (event.key === "End") row = calls.length - 1;
    if (row < 0) return;
    event.preventDefault();
    event.stopPropagation();
    this.view.take(calls[row]);
  }
}
