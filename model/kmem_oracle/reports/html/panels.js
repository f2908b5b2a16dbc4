// What is said beside the picture: families and search, the object in hand, a table of all, the model's inside.

const MOST_ROWS = 200; // of the table; it says how many more there are

class Filters {
  constructor(view) {
    this.view = view;
    this.chips = el("div", { class: "chips", role: "group", "aria-label": "Families shown" });
    this.query = el("input", {
      type: "search",
      id: "search",
      placeholder: "id, address or text of a call",
      "aria-label": "Search by id, address or text of a call; Enter goes to the next",
      oninput: () => this.search(),
      onkeydown: (event) => event.key === "Enter" && this.next(event.shiftKey ? -1 : 1),
    });
    this.found = el("span", { class: "found", role: "status" });
    this.element = el("div", { class: "filters" }, this.chips, el("div", { class: "search" }, this.query, this.found));
  }

  setChapter(chapter) {
    this.buttons = chapter.kinds.map((family) =>
      el(
        "button",
        { type: "button", class: `chip ${FAMILIES[family]}`, "aria-pressed": "true", onclick: () => this.view.toggle(family) },
        el("span", { class: `swatch ${FAMILIES[family]}` }),
        el("span", { class: "name" }, FAMILIES[family]),
        el("span", { class: "count" }),
      ),
    );
    this.chips.replaceChildren(...this.buttons);
    this.search();
  }

  update() {
    const { chapter, k, hidden } = this.view;
    chapter.kinds.forEach((family, place) => {
      const count = chapter.objects[family][k];
      const button = this.buttons[place];
      button.setAttribute("aria-pressed", String(!hidden.has(family)));
      button.lastChild.textContent = `${many(count, "object")}, ${sized(chapter.bytes[family][k])}`;
    });
  }

  // Find lives by the id that the script has for them or by an address in them, and calls by their text.
  search() {
    const { chapter } = this.view;
    const text = this.query.value.trim();
    this.hits = [];
    this.at = -1;
    const lives = new Set();
    if (text) {
      const place = /^0x[0-9a-f]+$/i.test(text) ? chapter.placeOf(BigInt(text)) : -1;
      for (let id = 0; id < chapter.lives; id++) {
        const inside = place >= 0 && chapter.at[id] <= place && place < chapter.end(id);
        if (!inside && chapter.label[id] !== text) continue;
        lives.add(id);
        this.hits.push({ state: Math.max(chapter.from[id], 0), id });
      }
      if (!this.hits.length) {
        const low = text.toLowerCase();
        chapter.lines.forEach((line, call) => {
          if (line.toLowerCase().includes(low)) this.hits.push({ state: call + 1, id: -1 });
        });
      }
    }
    const what = lives.size ? "object" : "call";
    this.found.textContent = text ? many(this.hits.length, what) : "";
    this.view.matches = lives;
    this.view.redraw();
  }

  next(by) {
    if (!this.hits.length) return;
    this.at = (this.at + by + this.hits.length) % this.hits.length;
    const { state, id } = this.hits[this.at];
    this.found.textContent = `${(this.at + 1).toLocaleString("en")} of ${this.hits.length.toLocaleString("en")}`;
    this.view.go(state);
    this.view.select(id);
  }
}

class Inspector {
  constructor(view) {
    this.view = view;
    this.element = el("section", { class: "inspector panel", "aria-label": "Object in hand" });
  }

  update() {
    const { chapter, selected } = this.view;
    if (selected < 0) {
      this.element.replaceChildren(el("h2", {}, "Object in hand"), el("p", { class: "hint" }, "Select an object in the picture, the table or by its call."));
      return;
    }
    const rows = this.facts(selected).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]);
    this.element.replaceChildren(
      el("h2", {}, el("span", { class: `swatch ${FAMILIES[chapter.family[selected]]}` }), ` ${chapter.label[selected]}`),
      el("dl", {}, ...rows.flat()),
    );
  }

  facts(id) {
    const { chapter, view } = this.view.chapter ? { chapter: this.view.chapter, view: this.view } : {};
    const last = chapter.at[id] + chapter.length[id] - 1;
    const facts = [
      ["bytes", `${chapter.hex(chapter.at[id])} to ${chapter.hex(last)}, ${many(chapter.length[id], "byte")}`],
      ["asked for", `${chapter.size[id].toLocaleString("en")}${chapter.usable[id] >= 0 ? `, usable ${chapter.usable[id].toLocaleString("en")}` : ""}`],
      ["family", FAMILIES[chapter.family[id]]],
      ["from", this.callLink(view, chapter.from[id], chapter.api[id])],
      ["until", chapter.to[id] > chapter.count ? "it still lives at the end" : this.callLink(view, chapter.to[id], "")],
    ];
    if (chapter.guard[id]) facts.splice(1, 0, ["guard", `${many(chapter.guard[id], "byte")} behind it`]);
    if (chapter.home[id]) facts.push(["of", chapter.home[id]]);
    return facts;
  }

  callLink(view, state, before) {
    if (!state) return `${before} before the first call that was kept`;
    const text = `call ${state.toLocaleString("en")}: ${view.chapter.lines[state - 1]}`;
    return el("button", { type: "button", class: "link", onclick: () => view.go(state) }, text);
  }
}

class LiveTable {
  constructor(view) {
    this.view = view;
    this.body = el("tbody", {});
    this.caption = el("caption", {});
    const heads = ["id", "address", "bytes", "asked for", "family", "call", "made by"];
    this.element = el(
      "details",
      { class: "panel table", open: true, ontoggle: () => this.update() },
      el("summary", {}, "Live objects as a table"),
      el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Live objects" },
        el("table", {}, this.caption, el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))), this.body)),
    );
  }

  update() {
    if (!this.element.open) return;
    const { chapter, view } = { chapter: this.view.chapter, view: this.view };
    const live = chapter.live(view.k).filter((id) => !view.isHidden(id) && (!view.matches.size || view.matches.has(id)));
    const more = live.length > MOST_ROWS ? `; the first ${MOST_ROWS} by address` : "";
    this.caption.textContent = `${many(live.length, "object")} after call ${view.k.toLocaleString("en")}${more}`;
    this.body.replaceChildren(...live.slice(0, MOST_ROWS).map((id) => this.row(id)));
  }

  row(id) {
    const { view } = this;
    const { chapter } = view;
    const name = el("button", { type: "button", class: "link", onclick: () => view.select(id) }, chapter.label[id]);
    return el(
      "tr",
      { class: id === view.selected ? "selected" : null, "data-life": id },
      el("th", { scope: "row" }, el("span", { class: `swatch ${FAMILIES[chapter.family[id]]}` }), " ", name),
      el("td", { class: "mono" }, chapter.hex(chapter.at[id])),
      el("td", { class: "mono" }, chapter.length[id].toLocaleString("en")),
      el("td", { class: "mono" }, chapter.size[id].toLocaleString("en")),
      el("td", {}, FAMILIES[chapter.family[id]]),
      el("td", { class: "mono" }, chapter.from[id] ? chapter.from[id].toLocaleString("en") : "before"),
      el("td", { class: "mono" }, chapter.from[id] ? chapter.lines[chapter.from[id] - 1] : chapter.api[id]),
    );
  }
}

// What the reference model has inside: free blocks by order, as /proc/buddyinfo, and slabs, as /proc/slabinfo.
class InsidePanel {
  constructor(view) {
    this.view = view;
    this.buddy = el("tbody", {});
    this.slabs = el("tbody", {});
    this.none = el("p", { class: "hint" });
    const orders = Array.from({ length: 11 }, (_, order) => el("th", { scope: "col" }, String(order)));
    this.element = el(
      "section",
      { class: "panel inside", "aria-label": "Inside the model" },
      el("h2", {}, "Inside the model"),
      el("table", {}, el("caption", {}, "Free blocks by order (/proc/buddyinfo)"),
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "zone"), ...orders)), this.buddy),
      el("table", {}, el("caption", {}, "Slabs (/proc/slabinfo)"),
        el("thead", {}, el("tr", {}, ...["cache", "slabs", "slot", "live", "of"].map((head) => el("th", { scope: "col" }, head)))), this.slabs),
      this.none,
    );
  }

  setChapter(chapter) {
    this.element.hidden = chapter.inside === null;
    if (!chapter.inside) return;
    this.zones = chapter.inside.zones.map(([name, start, end]) => [name, parseInt(start, 16), parseInt(end, 16)]);
  }

  update() {
    const { chapter, k } = this.view;
    if (!chapter.inside) return;
    const { free, slabs } = chapter.inside;
    const counts = this.zones.map(() => new Int32Array(11));
    free.pfn.forEach((pfn, place) => {
      if (free.from[place] > k || k >= free.to[place]) return;
      counts[this.zones.findIndex(([, start, end]) => start <= pfn && pfn < end)][free.order[place]]++;
    });
    this.buddy.replaceChildren(
      ...this.zones.map(([name], zone) =>
        el("tr", {}, el("th", { scope: "row" }, name), ...Array.from(counts[zone], (count) => el("td", { class: count ? "mono" : "mono nil" }, String(count)))),
      ),
    );
    this.slabs.replaceChildren(...this.slabRows(slabs, k));
  }

  slabRows(slabs, k) {
    const { chapter } = this.view;
    const live = chapter.live(k);
    const caches = new Map();
    slabs.at.forEach((at, place) => {
      if (slabs.from[place] > k || k >= slabs.to[place]) return;
      const row = caches.get(slabs.cache[place]) || { slabs: 0, slot: slabs.slot[place], live: 0, objects: 0 };
      const end = at + PAGE * 2 ** slabs.order[place];
      row.slabs++;
      row.objects += slabs.objects[place];
      row.live += within(chapter, live, at, end);
      caches.set(slabs.cache[place], row);
    });
    this.none.textContent = caches.size ? "" : "no slab";
    return [...caches].map(([name, row]) =>
      el("tr", {}, el("th", { scope: "row" }, name), ...[row.slabs, row.slot, row.live, row.objects].map((value) => el("td", { class: "mono" }, value.toLocaleString("en")))),
    );
  }
}

// Count those of `live`, in the order of addresses, that begin from `at` to `end` - 1.
function within(chapter, live, at, end) {
  const before = (place) => {
    let low = 0;
    let high = live.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (chapter.at[live[middle]] < place) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return before(end) - before(at);
}
