// A history: calls, and the lives of objects between them. State k is that after k calls.

const FAMILIES = ["kmalloc", "kv", "cache", "page", "exact", "vmalloc", "vmap", "pool"];
const PAGE = 4096;

class Chapter {
  constructor(raw) {
    this.name = raw.name;
    this.first = raw.first;
    this.lines = raw.lines === "" ? [] : raw.lines.split("\n");
    this.gave = raw.gave.split("\n");
    this.count = this.lines.length;
    this.places = raw.places.map(([at, base]) => [at, BigInt(`0x${base}`)]);
    this.fault = raw.fault;
    this.makers = raw.makers;
    this.inside = raw.inside;
    this.freeOf = -1; // the state of which the free blocks were asked last
    const lives = raw.lives;
    this.lives = lives.at.length;
    this.at = Float64Array.from(lives.at);
    this.length = Float64Array.from(lives.length);
    this.guard = Float64Array.from(lives.guard);
    this.size = lives.size;
    this.usable = lives.usable;
    this.api = lives.api;
    this.home = lives.home;
    this.label = lives.label;
    this.from = Uint32Array.from(lives.from);
    this.to = Uint32Array.from(lives.to);
    this.family = Uint8Array.from(lives.kind, (kind) => FAMILIES.indexOf(kind));
    this.kinds = FAMILIES.map((_, family) => family).filter((family) => this.family.includes(family));
    this.born = this.bucket(this.from);
    this.died = this.bucket(this.to);
    this.sum();
  }

  // Return the lives by state: those of state k are ids[begin[k]] to ids[begin[k + 1] - 1].
  bucket(states) {
    const begin = new Uint32Array(this.count + 3);
    for (const state of states) if (state <= this.count) begin[state + 1]++;
    for (let k = 0; k < this.count + 2; k++) begin[k + 1] += begin[k];
    const next = begin.slice();
    const ids = new Uint32Array(begin[this.count + 1]);
    states.forEach((state, id) => {
      if (state <= this.count) ids[next[state]++] = id;
    });
    return { begin, ids };
  }

  // Work out how many bytes and objects are live, by family, in every state.
  sum() {
    this.bytes = FAMILIES.map(() => new Float64Array(this.count + 1));
    this.objects = FAMILIES.map(() => new Int32Array(this.count + 1));
    for (let id = 0; id < this.lives; id++) {
      const family = this.family[id];
      this.bytes[family][this.from[id]] += this.length[id];
      this.objects[family][this.from[id]]++;
      if (this.to[id] > this.count) continue;
      this.bytes[family][this.to[id]] -= this.length[id];
      this.objects[family][this.to[id]]--;
    }
    this.total = new Float64Array(this.count + 1);
    this.peak = 0;
    for (let k = 0; k <= this.count; k++) {
      for (const family of this.kinds) {
        if (k) this.bytes[family][k] += this.bytes[family][k - 1];
        if (k) this.objects[family][k] += this.objects[family][k - 1];
        this.total[k] += this.bytes[family][k];
      }
      if (this.total[k] > this.total[this.peak]) this.peak = k;
    }
  }

  isLive(id, k) {
    return this.from[id] <= k && k < this.to[id];
  }

  // Return what lives in state k, in the order of addresses.
  live(k) {
    const ids = [];
    for (let id = 0; id < this.lives; id++) if (this.isLive(id, k)) ids.push(id);
    return ids.sort((one, two) => this.at[one] - this.at[two]);
  }

  made(k) {
    return this.born.ids.subarray(this.born.begin[k], this.born.begin[k + 1]);
  }

  freed(k) {
    return this.died.ids.subarray(this.died.begin[k], this.died.begin[k + 1]);
  }

  // Return the family that a call is about, -1 for none: that of what it made, else of what it freed.
  familyOf(call) {
    const made = this.made(call + 1);
    const id = made.length ? made[0] : this.freed(call + 1)[0];
    return id === undefined ? -1 : this.family[id];
  }

  address(at) {
    let part = 0;
    while (part + 1 < this.places.length && this.places[part + 1][0] <= at) part++;
    return this.places[part][1] + BigInt(at - this.places[part][0]);
  }

  // Return the place of an address, -1 for one that is nowhere near anything.
  placeOf(address) {
    for (let part = this.places.length - 1; part >= 0; part--) {
      const [at, base] = this.places[part];
      if (address < base) continue;
      const place = at + Number(address - base);
      return part + 1 < this.places.length && place >= this.places[part + 1][0] ? -1 : place;
    }
    return -1;
  }

  // Return the model's free blocks in a state: heads in order, page numbers, and the order of each.
  freeBlocks(k) {
    if (this.freeOf !== k) {
      const { free } = this.inside;
      const present = [];
      free.pfn.forEach((_, place) => free.from[place] <= k && k < free.to[place] && present.push(place));
      present.sort((one, two) => free.pfn[one] - free.pfn[two]);
      this.free = { heads: present.map((place) => free.pfn[place]), orders: present.map((place) => free.order[place]) };
      this.freeOf = k;
    }
    return this.free;
  }

  // Return the free block that a page is in: its head and order, null for none.
  freeBlock(pfn, k) {
    const { heads, orders } = this.freeBlocks(k);
    let low = -1;
    let high = heads.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (heads[middle] <= pfn) low = middle;
      else high = middle - 1;
    }
    return low >= 0 && pfn < heads[low] + 2 ** orders[low] ? { head: heads[low], order: orders[low] } : null;
  }

  // Return the page frame number of a place in the model's direct map, -1 for a place that is not there.
  pfn(at) {
    const pages = (this.address(at) - BigInt(`0x${this.inside.base}`)) / BigInt(PAGE);
    const last = this.inside.zones[this.inside.zones.length - 1];
    return pages < 0n || pages >= BigInt(`0x${last[2]}`) ? -1 : Number(pages);
  }

  hex(at) {
    return `0x${this.address(at).toString(16)}`;
  }

  end(id) {
    return this.at[id] + this.length[id];
  }

  isFaulty(k) {
    return this.fault !== null && k > this.fault.call;
  }

  // Return what a call gave, as text.
  outcome(call) {
    if (this.gave[call] === "did not return") return "did not return";
    if (this.gave[call]) return `= ${this.gave[call]}`;
    const made = this.made(call + 1);
    return made.length ? `→ ${this.hex(this.at[made[0]])}` : "";
  }

  // Return the call that made a life, as people count: from 1; 0 for one from before the first that was kept.
  madeBy(id) {
    return this.from[id];
  }

  freedBy(id) {
    return this.to[id] > this.count ? 0 : this.to[id];
  }
}
