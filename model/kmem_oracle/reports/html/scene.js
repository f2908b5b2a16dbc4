// The fault to scale: whose bytes, which call, where the rule is broken.

const SCENE_WIDTH = 1000;
const BAR = 26;
const PITCH = 68; // from one owner to the next
const LEFT = 10;

class Scene {
  constructor(view, chapter) {
    this.view = view;
    this.chapter = chapter;
    this.marks = chapter.fault.marks;
    const [low, high] = this.window();
    this.low = low;
    this.high = high;
  }

  // Return what is drawn: all of the objects, or where one is many times another, what is around the smaller.
  window() {
    const ends = this.marks.map((mark) => mark.at + mark.length + (mark.guard || 0));
    let low = Math.min(...this.marks.map((mark) => mark.at));
    let high = Math.max(...ends);
    const [mark] = this.marks;
    if (mark.align) {
      low = Math.min(low, this.align(mark.at, mark.align));
      high = Math.max(high, this.align(mark.at, mark.align) + mark.align);
    }
    const least = Math.min(...this.marks.map((each) => each.length));
    const near = this.marks.find((each) => each.length === least);
    if (high - low > 24 * least) {
      low = Math.max(low, near.at - 4 * least);
      high = Math.min(high, near.at + 12 * least);
      if (mark.align) high = Math.max(high, Math.min(low + mark.align, this.align(mark.at, mark.align) + mark.align));
    }
    const margin = Math.max(1, (high - low) * 0.04);
    return [low - margin, high + margin];
  }

  x(place) {
    return LEFT + ((clamp(place, this.low, this.high) - this.low) / (this.high - this.low)) * (SCENE_WIDTH - 2 * LEFT);
  }

  element() {
    const rows = this.marks.length;
    const height = rows * PITCH + 42;
    const picture = svg("svg", {
      class: "scene",
      viewBox: `0 0 ${SCENE_WIDTH} ${height}`,
      role: "img",
      "aria-label": this.words(),
    });
    picture.append(this.hatching());
    const { shared } = this;
    if (shared) {
      const [from, to] = shared;
      picture.append(
        svg("rect", { class: "shared-column", x: this.x(from), y: 4, width: Math.max(2, this.x(to) - this.x(from)), height: height - 30 }),
      );
    }
    this.marks.forEach((mark, row) => picture.append(...this.bar(mark, row)));
    if (shared) {
      const middle = (this.x(shared[0]) + this.x(shared[1])) / 2;
      picture.append(this.note(`${many(shared[1] - shared[0], "byte")} ${this.inGuard ? "in the guard page" : "shared"}`, middle, height - 10, "shared-note"));
    }
    picture.append(...this.boundaries(height));
    return picture;
  }

  // Return the bytes that the first two objects share, or that one has in the guard of the other.
  get shared() {
    const [one, two] = this.marks;
    if (!two) return null;
    const common = (a, aEnd, b, bEnd) => (Math.max(a, b) < Math.min(aEnd, bEnd) ? [Math.max(a, b), Math.min(aEnd, bEnd)] : null);
    const end = (mark) => mark.at + mark.length;
    const guard = (mark) => end(mark) + (mark.guard || 0);
    return (
      common(one.at, end(one), two.at, end(two)) ||
      common(one.at, end(one), end(two), guard(two)) ||
      common(end(one), guard(one), two.at, end(two))
    );
  }

  get inGuard() {
    const [one, two] = this.marks;
    return Math.max(one.at, two.at) >= Math.min(one.at + one.length, two.at + two.length);
  }

  bar(mark, row) {
    const y = 24 + row * PITCH;
    const x = this.x(mark.at);
    const width = Math.max(3, this.x(mark.at + mark.length) - x);
    const parts = [
      svg("rect", { class: `bar ${row ? "other" : "blamed"}`, x, y, width, height: BAR, rx: 2 }),
      row < 2 ? this.hatched(y) : null,
      this.note(this.title(mark), clamp(x, LEFT, SCENE_WIDTH - 520), y - 7, row ? "owner" : "owner blamed", "start"),
      this.note(this.chapter.hex(mark.at), clamp(x, LEFT, SCENE_WIDTH - 150), y + BAR + 14, "address", "start"),
    ];
    if (mark.guard) {
      const from = this.x(mark.at + mark.length);
      parts.push(svg("rect", { class: "guard", x: from, y, width: Math.max(0, this.x(mark.at + mark.length + mark.guard) - from), height: BAR }));
    }
    if (width > 330) {
      const last = mark.at + mark.length - 1;
      const beyond = mark.at + mark.length > this.high ? "… " : "";
      parts.push(this.note(`${beyond}${this.chapter.hex(last)}`, Math.min(x + width, SCENE_WIDTH - LEFT), y + BAR + 14, "address", "end"));
    }
    if (mark.byte >= 0) {
      const at = this.x(mark.at + mark.byte);
      const one = Math.max(3, this.x(mark.at + mark.byte + 1) - at);
      parts.push(
        svg("rect", { class: "byte", x: at, y: y - 3, width: one, height: BAR + 6 }),
        this.note(`byte ${mark.byte}`, clamp(at + one / 2, 60, SCENE_WIDTH - 60), y + BAR + 30, "shared-note"),
      );
    }
    return parts.filter((part) => part !== null);
  }

  // Hatch what is shared: that is seen in print, too, and without colours.
  hatched(y) {
    const [from, to] = this.shared ? this.shared.map((place) => this.x(place)) : [0, 0];
    return svg("rect", { class: "hatched", x: from, y, width: Math.max(0, to - from), height: BAR });
  }

  boundaries(height) {
    const [mark] = this.marks;
    if (!mark.align) return [];
    const below = this.align(mark.at, mark.align);
    const parts = [];
    for (const at of [below, below + mark.align]) {
      if (at < this.low || at > this.high) continue;
      parts.push(
        svg("line", { class: "boundary", x1: this.x(at), x2: this.x(at), y1: 4, y2: height - 26 }),
        this.note(`${mark.align}-byte boundary`, clamp(this.x(at), 70, SCENE_WIDTH - 70), height - 10, "boundary-note"),
      );
    }
    const off = mark.at - below;
    const middle = 24 + BAR / 2;
    parts.push(
      svg("line", { class: "off", x1: this.x(below), x2: this.x(mark.at), y1: middle, y2: middle }),
      this.note(`${many(off, "byte")} off`, clamp(this.x(below + off / 2), 60, SCENE_WIDTH - 60), middle - 8, "shared-note"),
    );
    return parts;
  }

  // Return the boundary at or below a place: places agree with addresses modulo a page, no further.
  align(place, due) {
    return place - Number(this.chapter.address(place) % BigInt(due));
  }

  hatching() {
    return svg(
      "defs",
      {},
      svg(
        "pattern",
        { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
        svg("line", { class: "hatch-line", x1: 0, y1: 0, x2: 0, y2: 6 }),
      ),
    );
  }

  note(text, x, y, kind, anchor = "middle") {
    return svg("text", { class: kind, x, y, "text-anchor": anchor }, text);
  }

  title(mark) {
    const name = mark.label ? `${mark.label}: ` : "";
    const asked = mark.size !== undefined && mark.size !== mark.length ? ` (${mark.size} asked for)` : "";
    const when = mark.call < 0 ? "before the first call kept" : `call ${mark.call + 1}`;
    return `${name}${many(mark.length, "byte")}${asked} from ${mark.api}, ${when}`;
  }

  words() {
    const owners = this.marks.map((mark) => `${this.title(mark)}, at ${this.chapter.hex(mark.at)}`);
    const { shared } = this;
    const end = shared ? `; they share ${many(shared[1] - shared[0], "byte")}${this.inGuard ? ", in a guard page," : ""} from ${this.chapter.hex(shared[0])}` : "";
    return `${owners.join("; ")}${end}`;
  }
}
