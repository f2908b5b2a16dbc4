// Time: live bytes by family over the calls, the slider over them, and the buttons that step.

const THUMB = 8; // pixels from the end of the slider to the middle of its thumb there

class Timeline {
  constructor(view) {
    this.view = view;
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.slider = el("input", {
      type: "range",
      min: 0,
      step: 1,
      id: "slider",
      "aria-label": "Call",
      oninput: () => view.go(Number(this.slider.value)),
    });
    this.number = el("input", {
      type: "number",
      min: 0,
      step: 1,
      "aria-label": "Number of the call",
      onchange: () => view.go(clamp(Math.round(Number(this.number.value)) || 0, 0, view.chapter.count)),
    });
    this.of = el("span", {});
    this.play = el("button", { type: "button", "aria-pressed": "false", title: "Play (space)", onclick: () => this.toggle() }, "▶ Play");
    this.line = el("output", { class: "now", for: "slider" });
    this.peak = el("span", { class: "peak" });
    this.toFault = this.button("Go to the fault", "Fault (f)", () => view.goToFault());
    this.draw = eachFrame(() => this.paint());
    this.box = el("div", { class: "chart" }, this.canvas, this.peak);
    this.element = el(
      "section",
      { class: "timeline", "aria-label": "Time" },
      this.box,
      this.slider,
      el(
        "div",
        { class: "controls" },
        this.button("First call", "|◀", () => view.go(0)),
        this.button("Call before", "◀", () => view.go(view.k - 1)),
        this.button("Next call", "▶", () => view.go(view.k + 1)),
        this.button("Last call", "▶|", () => view.go(view.chapter.count)),
        this.play,
        this.toFault,
        el("label", { class: "number" }, "call ", this.number, " ", this.of),
        this.line,
      ),
    );
    this.box.addEventListener("pointerdown", (event) => this.point(event));
    this.box.addEventListener("pointermove", (event) => event.buttons && this.point(event));
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  button(name, sign, act) {
    return el("button", { type: "button", "aria-label": name, title: name, onclick: act }, sign);
  }

  setChapter(chapter) {
    this.slider.max = chapter.count;
    this.number.max = chapter.count;
    const before = chapter.first ? `, ${many(chapter.first, "event")} before not kept` : "";
    this.of.textContent = `of ${chapter.count.toLocaleString("en")}${before}`;
    this.toFault.hidden = chapter.fault === null;
    this.peak.textContent = `${sized(chapter.total[chapter.peak])} at most, after call ${chapter.peak.toLocaleString("en")}`;
    this.update();
  }

  update() {
    const { k, chapter } = this.view;
    this.slider.value = k;
    this.slider.setAttribute("aria-valuetext", this.view.said());
    if (document.activeElement !== this.number || Number(this.number.value) !== k) this.number.value = k;
    const call = k - 1;
    this.line.textContent = k ? `${chapter.lines[call]}  ${chapter.outcome(call)}` : "before the first call";
    this.line.classList.toggle("faulty", chapter.fault !== null && chapter.fault.call === call);
    this.draw();
  }

  point(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const part = (event.clientX - bounds.left - THUMB) / (bounds.width - 2 * THUMB);
    this.view.go(Math.round(clamp(part, 0, 1) * this.view.chapter.count));
  }

  toggle() {
    const playing = this.timer !== undefined;
    clearInterval(this.timer);
    this.timer = undefined;
    if (!playing) {
      const { view } = this;
      if (view.k >= view.chapter.count) view.go(0);
      const step = Math.max(1, Math.round(view.chapter.count / 600));
      this.timer = setInterval(() => {
        if (view.k >= view.chapter.count) this.toggle();
        else view.go(view.k + step);
      }, view.chapter.count > 60 ? 33 : 400);
    }
    this.play.textContent = playing ? "▶ Play" : "❚❚ Pause";
    this.play.setAttribute("aria-pressed", String(!playing));
  }

  paint() {
    const { chapter, k } = this.view;
    const width = this.box.clientWidth;
    const height = this.box.clientHeight;
    if (!chapter || !width) return;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const most = chapter.total[chapter.peak] || 1;
    const state = (x) => clamp(Math.round(((x - THUMB) / (width - 2 * THUMB)) * chapter.count), 0, chapter.count);
    for (let x = 0; x < width; x++) {
      let at = state(x);
      const stop = Math.max(at + 1, state(x + 1));
      for (let other = at; other < stop; other++) if (chapter.total[other] > chapter.total[at]) at = other;
      let base = height;
      for (const family of chapter.kinds) {
        if (this.view.hidden.has(family)) continue;
        const part = (chapter.bytes[family][at] / most) * (height - 16);
        pen.fillStyle = colour(FAMILIES[family]);
        pen.fillRect(x, base - part, 1, part);
        base -= part;
      }
    }
    this.marker(pen, width, height, k, colour("text"), 2);
    if (chapter.fault) this.marker(pen, width, height, chapter.fault.call + 1, colour("fault"), 3);
  }

  marker(pen, width, height, k, shade, thick) {
    const x = THUMB + (k / Math.max(1, this.view.chapter.count)) * (width - 2 * THUMB);
    pen.fillStyle = shade;
    pen.fillRect(x - thick / 2, 0, thick, height);
  }
}
