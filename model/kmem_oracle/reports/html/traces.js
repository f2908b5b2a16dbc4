// The page of judge.

const KINDS = [["kmalloc", "kmalloc"], ["caches", "cache"], ["pages", "page"], ["areas", "vmalloc"]];

class Traces {
  constructor(data) {
    this.rules = data.rules;
    const bad = data.verdict === "violation";
    const head = el("header", { class: bad ? "bad" : "good" }, el("p", { class: "run" }, el("b", { class: bad ? "verdict bad" : "verdict good" }, bad ? "VIOLATION" : "PASS")));
    document.getElementById("page").append(head, ...data.traces.flatMap((trace) => this.trace(trace)));
  }

  trace(trace) {
    const violations = trace.findings.filter((found) => found.certainty === "violation").length;
    const suspects = trace.findings.length - violations;
    const events = Object.values(trace.events).reduce((sum, count) => sum + count, 0);
    const last = trace.samples[trace.samples.length - 1];
    const live = last ? KINDS.reduce((sum, [name]) => sum + last[name], 0) : 0;
    const given = trace.sizes.reduce((sum, size) => sum + size.given * size.count, 0);
    const asked = trace.sizes.reduce((sum, size) => sum + size.asked, 0);
    const more = trace.all_findings > trace.findings.length ? `the first ${trace.findings.length.toLocaleString("en")} of ${trace.all_findings.toLocaleString("en")}` : "";
    return [
      el("h1", {}, trace.name),
      el("p", { class: "hint" }, `${many(trace.lines, "line")} (${trace.kind}) · ${many(events, "event")}, ${trace.judged.toLocaleString("en")} judged · profile ${trace.profile}`),
      trace.stopped ? el("p", { class: "seen" }, `${trace.stopped}: this covers what was read so far`) : null,
      tiles([
        ["violations", violations.toLocaleString("en"), more],
        ["suspects", suspects.toLocaleString("en"), "what only events that the kernel does not emit could explain"],
        ["live at the end", sized(live), "of what the trace shows"],
        ["given, not asked for", given ? `${(100 * (given - asked) / given).toFixed(1)} %` : "–", given ? `${sized(asked)} asked for, ${sized(given)} given` : ""],
      ]),
      ...(violations ? [this.findings(trace), this.chart(trace)] : [this.chart(trace), this.findings(trace)]),
      el("div", { class: "split" }, this.sites(trace), el("div", {}, this.sizes(trace), this.events(trace), this.unjudged(trace))),
    ].filter((part) => part !== null);
  }

  rule(clause) {
    return this.rules[clause] || { sentence: "", source: "" };
  }

  findings(trace) {
    if (!trace.findings.length) return null;
    const columns = [
      { head: "clause", value: (found) => found.clause, show: (found) => el("span", { title: this.rule(found.clause).sentence, class: found.certainty === "violation" ? "fault-text" : "" }, found.clause) },
      { head: "certainty", value: (found) => found.certainty },
      { head: "who", value: (found) => found.who },
      { head: "line", value: (found) => found.line, number: true },
      { head: "other lines", value: (found) => found.others.join(", "), mono: true },
      { head: "seen", value: (found) => found.message, mono: true },
    ];
    const table = new SortedTable("Findings", columns, trace.findings, 500);
    const search = searchBox("clause, line or text", (text) => table.filter((found) => `${found.clause} ${found.certainty} ${found.line} ${found.message}`.toLowerCase().includes(text)));
    const clauses = [...new Set(trace.findings.map((found) => found.clause))];
    const rules = clauses.map((clause) => el("p", { class: "hint" }, el("code", {}, clause), ` ${this.rule(clause).sentence} (${this.rule(clause).source})`));
    return el("section", { class: "panel" }, el("div", { class: "bar-of" }, el("h2", {}, "Findings"), search), ...rules, table.element);
  }

  chart(trace) {
    const { samples } = trace;
    if (samples.length < 2) return null;
    const timed = samples.every((sample) => sample.time !== null);
    const where = samples.map((sample) => (timed ? sample.time : sample.line));
    const said = (at) => (timed ? `${samples[at].time.toFixed(3)} s, line ${samples[at].line.toLocaleString("en")}` : `line ${samples[at].line.toLocaleString("en")}`);
    const series = KINDS.map(([name, colour]) => ({ name, colour, values: samples.map((sample) => sample[name]) })).filter((each) => each.values.some((value) => value > 0));
    return el("section", { class: "panel" }, el("h2", {}, "Live bytes over time"), new Areas(where, series, said).element);
  }

  sites(trace) {
    const most = Math.max(1, ...trace.sites.map((site) => site.live_bytes));
    const columns = [
      { head: "call site", value: (site) => site.name, mono: true },
      { head: "bytes live", value: (site) => site.live_bytes, number: true, show: (site) => bar(site.live_bytes / most, site.live_bytes.toLocaleString("en")) },
      { head: "live", value: (site) => site.live, number: true },
      { head: "calls", value: (site) => site.count, number: true },
      { head: "given", value: (site) => site.given, number: true, show: (site) => sized(site.given) },
      { head: "not asked for", value: (site) => site.given - site.asked, number: true, show: (site) => sized(site.given - site.asked) },
      { head: "failed", value: (site) => site.failed, number: true },
    ];
    const table = new SortedTable("Call sites", columns, trace.sites, 300);
    const search = searchBox("part of a name", (text) => table.filter((site) => site.name.toLowerCase().includes(text)));
    return el("section", { class: "panel" }, el("div", { class: "bar-of" }, el("h2", {}, "Call sites"), search), table.element);
  }

  sizes(trace) {
    const most = Math.max(1, ...trace.sizes.map((size) => size.given * size.count - size.asked));
    const columns = [
      { head: "slot", value: (size) => size.given, number: true, show: (size) => `${size.given.toLocaleString("en")}${size.cached ? " cache" : ""}` },
      { head: "objects", value: (size) => size.count, number: true },
      { head: "asked for", value: (size) => size.asked, number: true, show: (size) => sized(size.asked) },
      { head: "not asked for", value: (size) => size.given * size.count - size.asked, number: true, show: (size) => bar((size.given * size.count - size.asked) / most, sized(size.given * size.count - size.asked)) },
    ];
    return el("section", { class: "panel" }, el("h2", {}, "Fragmentation"), new SortedTable("Sizes of slots", columns, trace.sizes, 200).element);
  }

  events(trace) {
    const rows = Object.entries(trace.events).map(([name, count]) => ({ name, count }));
    const columns = [
      { head: "event", value: (row) => row.name, mono: true },
      { head: "lines", value: (row) => row.count, number: true },
    ];
    return el("section", { class: "panel" }, el("h2", {}, "Events"), new SortedTable("Events", columns, rows, 200).element);
  }

  unjudged(trace) {
    if (!trace.unjudged.length) return null;
    return el("section", { class: "panel" }, el("h2", {}, "Could not be judged"), el("ul", {}, ...trace.unjudged.map((reason) => el("li", {}, reason))));
  }
}

loadData().then((data) => {
  window.traces = new Traces(data);
  document.body.dataset.ready = "yes";
  document.getElementById("report").open = false;
});
