// The page of verify.

const LEVELS = {
  A: "the code itself, unbounded state, all inputs",
  B: "a formula beside the code",
  C: "bounded or sampled: every state of a small machine",
};

class Proofs {
  constructor(data) {
    this.rows = data.obligations;
    this.sentences = data.sentences;
    const green = this.rows.filter((row) => row.verdict === "proved").length;
    const killed = this.rows.reduce((sum, row) => sum + row.mutants[0], 0);
    const mutants = this.rows.reduce((sum, row) => sum + row.mutants[1], 0);
    this.seconds = this.rows.reduce((sum, row) => sum + row.seconds, 0);
    this.slowest = Math.max(...this.rows.map((row) => row.seconds), 0.001);
    const good = data.verdict === "proved";
    const versions = Object.entries(data.versions).map(([name, number]) => `${name} ${number}`).join(" · ");
    document.getElementById("page").append(
      el("header", { class: good ? "good" : "bad" },
        el("p", { class: "run" }, el("b", { class: good ? "verdict good" : "verdict bad" }, data.verdict.toUpperCase()), " ", el("span", { class: "hint" }, versions)),
        el("h1", {}, `${green.toLocaleString("en")} of ${many(this.rows.length, "obligation")} proved`)),
      tiles([
        ...Object.entries(LEVELS).map(([level, meaning]) => [`level ${level}`, this.level(level), meaning]),
        ["mutants killed", `${killed.toLocaleString("en")} of ${mutants.toLocaleString("en")}`, "copies of the code, broken on purpose, that the proof refused"],
        ["time", `${this.seconds.toFixed(0)} s`, "of a processor"],
      ]),
      this.picture(),
      this.table(),
    );
  }

  level(level) {
    const of = this.rows.filter((row) => row.level === level);
    return `${of.filter((row) => row.verdict === "proved").length} of ${of.length}`;
  }

  // A square for each obligation, a row for each clause's family; what is not proved stands out.
  picture() {
    const families = new Map();
    for (const row of this.rows) {
      const family = row.name.split(/[-/]/)[0];
      if (!families.has(family)) families.set(family, []);
      families.get(family).push(row);
    }
    const lines = [...families].sort().map(([family, rows]) =>
      el("div", { class: "squares" }, el("span", { class: "family" }, family), el("div", {}, ...rows.map((row) => this.square(row)))),
    );
    const bad = this.rows.filter((row) => row.verdict !== "proved").map((row) => `${row.name} ${row.verdict}`);
    const words = `A square for each obligation. ${bad.length ? `Not proved: ${bad.join(", ")}` : "All are proved"}. The table has the same.`;
    const legend = el("p", { class: "hint" }, "one square an obligation: ", el("span", { class: "square A" }), " level A  ", el("span", { class: "square B" }), " B  ", el("span", { class: "square C" }), " C  ", el("span", { class: "square not" }), " not proved; select one to find it in the table");
    return el("section", { class: "panel" }, el("h2", {}, "All at once"), legend, el("div", { role: "img", "aria-label": words }, ...lines));
  }

  square(row) {
    const kind = row.verdict === "proved" ? row.level : "not";
    return el("span", { class: `square ${kind}`, title: `${row.name}: ${row.verdict}, level ${row.level}, ${row.seconds} s, mutants ${row.mutants.join("/")}`, onclick: () => this.find(row.name) });
  }

  find(name) {
    this.search.value = name;
    this.search.dispatchEvent(new Event("input"));
    this.box.scrollIntoView({ block: "nearest" });
  }

  table() {
    const columns = [
      { head: "obligation", value: (row) => row.name, mono: true, show: (row) => this.named(row) },
      { head: "verdict", value: (row) => row.verdict, show: (row) => (row.verdict === "proved" ? "proved" : el("b", { class: "fault-text" }, row.verdict.toUpperCase())) },
      { head: "level", value: (row) => row.level },
      { head: "mutants", value: (row) => row.mutants[1], number: true, show: (row) => `${row.mutants[0]}/${row.mutants[1]}` },
      { head: "paths", value: (row) => row.paths, number: true },
      { head: "rlimit", value: (row) => row.rlimit, number: true },
      { head: "seconds", value: (row) => row.seconds, number: true, show: (row) => bar(row.seconds / this.slowest, row.seconds.toFixed(2)) },
    ];
    if (this.rows.some((row) => row.cvc5)) columns.push({ head: "cvc5", value: (row) => (row.cvc5 ? row.cvc5[0] : -1), number: true, show: (row) => (row.cvc5 ? `${row.cvc5[0]}/${row.cvc5[0] + row.cvc5[1] + row.cvc5[2]}` : "") });
    const table = new SortedTable("Obligations", columns, this.rows, 2000);
    this.search = searchBox("clause, step, kind or verdict", (text) => table.filter((row) => `${row.name} ${row.verdict} level ${row.level}`.toLowerCase().includes(text)));
    this.box = el("section", { class: "panel" }, el("div", { class: "bar-of" }, el("h2", {}, "Obligations"), this.search), table.element);
    return this.box;
  }

  named(row) {
    const clause = row.name.split("/")[0];
    const said = this.sentences[clause];
    const parts = [el("span", { title: said || "" }, row.name)];
    for (const line of row.report || []) parts.push(el("pre", { class: "report" }, line));
    return el("span", {}, ...parts);
  }
}

loadData().then((data) => {
  window.proofs = new Proofs(data);
  document.body.dataset.ready = "yes";
  document.getElementById("report").open = false;
});
