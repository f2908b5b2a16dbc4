// The page of a run or a finding: one state of memory in view, and all that shows it.

class View {
  constructor(data) {
    this.data = data;
    this.k = 0;
    this.selected = -1;
    this.hidden = new Set();
    this.matches = new Set();
    this.timeline = new Timeline(this);
    this.map = new MemoryMap(this);
    this.calls = new Calls(this);
    this.filters = new Filters(this);
    this.inspector = new Inspector(this);
    this.table = new LiveTable(this);
    this.inside = new InsidePanel(this);
    this.scene = el("section", { class: "scene-box", "aria-label": "The fault, to scale" });
    this.live = el("div", { class: "unseen", role: "status", "aria-live": "polite" });
    this.legend = el("p", { class: "hint legend" });
    document.getElementById("page").append(...this.parts());
    document.addEventListener("keydown", (event) => this.key(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    this.later = () => {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.showSlow(), 60);
    };
    if (data.chapters.length) this.setChapter(0);
  }

  parts() {
    const { data } = this;
    const parts = [header(data)];
    if (!data.chapters.length) {
      parts.push(el("p", { class: "hint" }, "What happened was not written down; kmem-oracle run SCRIPT --html FILE draws it."));
      return parts;
    }
    if (data.chapters.length > 1) parts.push(this.chooser());
    const map = el(
      "section",
      { class: "map-box", "aria-label": "Memory" },
      el("div", { class: "bar-of" }, el("h2", {}, "Memory"), this.legend, this.map.scale, this.map.out, this.map.in),
      el("div", { class: "map-frame" }, this.map.box, this.map.tip),
    );
    const calls = el("section", { class: "calls-box", "aria-label": "Calls" }, el("div", { class: "bar-of" }, el("h2", {}, "Calls")), this.calls.box);
    parts.push(
      this.scene,
      el("div", { class: "sticky" }, this.timeline.element, this.filters.element),
      el("div", { class: "split" }, map, calls),
      el("div", { class: "split lower" }, this.table.element, el("div", { class: "side" }, this.inspector.element, this.inside.element)),
      keys(),
      this.live,
    );
    return parts;
  }

  chooser() {
    const options = this.data.chapters.map((chapter, place) => {
      const calls = chapter.lines === "" ? 0 : chapter.lines.split("\n").length;
      return el("option", { value: place }, `${chapter.name || "run"} (${many(calls, "call")})`);
    });
    this.choice = el("select", { id: "chapter", onchange: () => this.setChapter(Number(this.choice.value)) }, ...options);
    const what = this.data.found.length ? "Violation" : "Phase";
    return el("p", { class: "chooser" }, el("label", { for: "chapter" }, `${what} `), this.choice);
  }

  setChapter(place) {
    this.chapter = new Chapter(this.data.chapters[place]);
    const { chapter } = this;
    const found = this.data.found[this.data.chapters[place].found];
    if (found) document.getElementById("found").replaceChildren(...foundWords(found));
    this.hidden.clear();
    this.k = chapter.fault ? chapter.fault.call + 1 : chapter.peak;
    const marks = chapter.fault ? chapter.fault.marks : [];
    this.selected = marks.length ? marks[0].life : -1;
    this.scenery = marks.length ? new Scene(this, chapter) : null;
    this.scene.replaceChildren(...(this.scenery ? [this.scenery.element(), ...this.owners(marks)] : []));
    this.scene.hidden = !this.scenery;
    this.fit();
    for (const part of [this.filters, this.timeline, this.map, this.calls, this.inside]) part.setChapter(chapter);
    this.legend.textContent = chapter.inside
      ? "filled: live; tinted: a slab (blue), a frame behind an area (violet), free (green); hatched: guard"
      : "filled: live; hatched: guard; dashed: freed by this call";
    this.show();
  }

  // Give the picture and the calls as much height as they need, and not more than there is.
  fit() {
    const most = clamp(window.innerHeight - 270, 300, 620);
    const tall = clamp(this.chapter.count * ROW + 12, 190, most);
    this.map.most = most;
    for (const box of [this.map.box, this.calls.box]) box.style.height = `${tall}px`;
  }

  // Return the buttons that lead from the fault to the calls of its owners.
  owners(marks) {
    const buttons = marks
      .filter((mark) => mark.call >= 0)
      .map((mark) =>
        el("button", { type: "button", class: "link mono", onclick: () => this.take(mark.call) }, `${mark.call + 1}: ${this.chapter.lines[mark.call]}`),
      );
    return [el("p", { class: "owners" }, "Calls: ", ...buttons.flatMap((button) => [button, "  "]))];
  }

  go(k) {
    const wanted = clamp(k, 0, this.chapter.count);
    if (wanted === this.k) return;
    this.k = wanted;
    this.show();
  }

  goToFault() {
    if (this.chapter.fault) this.go(this.chapter.fault.call + 1);
    this.map.reveal();
  }

  // Go to a call, and take what it made or freed in hand.
  take(call) {
    const made = this.chapter.made(call + 1);
    const freed = this.chapter.freed(call + 1);
    this.selected = made.length ? made[0] : freed.length ? freed[0] : -1;
    if (this.k === call + 1) this.show();
    else this.go(call + 1);
  }

  select(id, announced = false) {
    this.selected = id;
    this.show();
    if (announced && id >= 0) this.live.textContent = this.described(id);
  }

  toggle(family) {
    if (!this.hidden.delete(family)) this.hidden.add(family);
    this.calls.filter();
    this.show();
  }

  show() {
    this.timeline.update();
    this.calls.update();
    this.map.reveal();
    this.redraw();
  }

  redraw() {
    if (!this.map.shape) return;
    this.timeline.draw();
    this.map.draw();
    this.later();
  }

  showSlow() {
    this.filters.update();
    this.inspector.update();
    this.table.update();
    this.inside.update();
  }

  isHidden(id) {
    return this.hidden.has(this.chapter.family[id]);
  }

  marksOut(id) {
    return id === this.selected || this.matches.has(id);
  }

  said() {
    const { chapter, k } = this;
    if (!k) return `before the first of ${many(chapter.count, "call")}`;
    const fault = chapter.fault && chapter.fault.call === k - 1 ? `; breaks ${chapter.fault.clause}` : "";
    return `call ${k} of ${chapter.count}: ${chapter.lines[k - 1]} ${chapter.outcome(k - 1)}${fault}`;
  }

  summary() {
    const { chapter, k } = this;
    const families = chapter.kinds
      .filter((family) => chapter.objects[family][k])
      .map((family) => `${FAMILIES[family]} ${many(chapter.objects[family][k], "object")}, ${sized(chapter.bytes[family][k])}`);
    return `Memory after call ${k}: ${families.join("; ") || "nothing is live"}. The table of live objects says the same.`;
  }

  described(id) {
    const { chapter } = this;
    return `${chapter.label[id]}: ${many(chapter.length[id], "byte")} at ${chapter.hex(chapter.at[id])} from ${chapter.api[id]}, call ${chapter.from[id] || "before the first kept"}`;
  }

  tipOf({ place, cell, id }) {
    const { chapter, map } = this;
    const lines = [];
    if (id >= 0) lines.push(el("b", {}, this.described(id)));
    const units = map.shape.units[cell];
    lines.push(el("div", {}, units > 1 ? `${sized(units * map.shape.unit)} of one object, folded` : chapter.hex(place)));
    if (map.shape.pfn && map.shape.pfn[cell] >= 0) {
      const block = chapter.freeBlock(map.shape.pfn[cell], this.k);
      if (block) lines.push(el("div", {}, `free block of order ${block.order} at page ${block.head}`));
    }
    if (chapter.inside) lines.push(...this.insideAt(cell).map((text) => el("div", {}, text)));
    return lines;
  }

  // Say what the model has in a cell: a slab, frames behind an area.
  insideAt(cell) {
    const { chapter, map, k } = this;
    const { slabs, frames } = chapter.inside;
    const said = [];
    const present = (part, place) => part.from[place] <= k && k < part.to[place];
    for (let at = map.shape.slabs.begin[cell]; at < map.shape.slabs.begin[cell + 1]; at++) {
      const slab = map.shape.slabs.ids[at];
      if (present(slabs, slab)) said.push(`slab of ${slabs.cache[slab]}: order ${slabs.order[slab]}, ${slabs.objects[slab]} slots of ${slabs.slot[slab]}`);
    }
    for (let at = map.shape.frames.begin[cell]; at < map.shape.frames.begin[cell + 1]; at++) {
      const frame = map.shape.frames.ids[at];
      if (present(frames, frame)) said.push(`frame behind ${chapter.hex(frames.page[frame])}`);
    }
    return said;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=range]), select")) return;
    const acts = {
      j: () => this.go(this.k + 1),
      k: () => this.go(this.k - 1),
      f: () => this.goToFault(),
      "+": () => this.map.step(1),
      "-": () => this.map.step(-1),
      "/": () => this.filters.query.focus(),
    };
    if (event.key === " " && event.target.tagName !== "BUTTON" && event.target.tagName !== "SUMMARY") acts[" "] = () => this.timeline.toggle();
    const act = acts[event.key];
    if (!act || !this.chapter) return;
    event.preventDefault();
    act();
  }
}

function header(data) {
  const bad = data.verdict === "violation";
  const words = `${many(data.calls, "call")} judged in ${data.seconds} s · profile ${data.profile} · seed ${data.seed} · ${many(data.judged, "clause")} exercised`;
  const parts = [
    el("p", { class: "run" }, el("b", { class: bad ? "verdict bad" : "verdict good" }, bad ? "VIOLATION" : "PASS"), ` ${data.target} `, el("span", { class: "hint" }, words)),
  ];
  if (data.interrupted) parts.push(el("p", { class: "hint" }, "Interrupted: this covers the calls judged so far."));
  if (data.found.length > 1) parts.push(el("p", { class: "hint" }, `${data.found.length} violations; this is the one that is chosen below`));
  parts.push(el("div", { id: "found" }, ...(data.found.length ? foundWords(data.found[0]) : [])));
  if (!data.found.length) {
    const what = data.generated ? `Of a campaign, the last phases are shown: at most ${data.most.toLocaleString("en")} events.` : "";
    parts.push(el("h1", {}, "No violation"), el("p", { class: "hint" }, what));
  }
  return el("header", { class: bad ? "bad" : "good" }, ...parts);
}

function foundWords(found) {
  const more = `${found.phase ? ` · found in phase ${found.phase}` : ""}${found.times > 1 ? ` · met ${found.times} times` : ""}`;
  return [
    el("h1", {}, el("code", {}, found.clause), ` broken by the ${found.who}`),
    el("p", { class: "rule" }, found.sentence),
    el("p", { class: "seen" }, found.message),
    el("p", { class: "hint" }, `source: ${found.source}${more}`),
  ];
}

function keys() {
  const all = [["j k", "next call, call before"], ["space", "play"], ["f", "the fault"], ["+ −", "zoom"], ["/", "search"]];
  return el("p", { class: "keys hint" }, ...all.flatMap(([key, act]) => [el("kbd", {}, key), ` ${act}  `]));
}

loadData().then((data) => {
  window.picture = new View(data);
  document.body.dataset.ready = "yes";
  document.getElementById("report").open = false;
});
