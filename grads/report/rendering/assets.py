"""Style and script of the report's pages. They stand in every page, so that a page needs no other file and no network.

They are texts in a module, not files of their own, so that changing them makes the pages again: a job's code version
covers Python modules.
"""

STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1a1a1a; --paper: #ffffff; --soft: #595959; --line: #c4c4c4; --tint: #f1f5f9; --accent: #005a94;
  --note: #fdf3d8; --note-line: #b88900; --gained: #00694a; --lost: #a13d00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6e6e6; --paper: #1f1f1f; --soft: #b4b4b4; --line: #525252; --tint: #2b3138; --accent: #85c8ff;
    --note: #38311a; --note-line: #d9a400; --gained: #66d9ac; --lost: #ffa370;
  }
  /* White becomes the page's own background, and colours keep their hue. */
  .pictures img { filter: invert(.8784) hue-rotate(180deg); }
}
* { box-sizing: border-box; }
body { font: 14px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0; }
header, main { padding: 0 clamp(.8rem, 3vw, 2rem); max-width: 100rem; }
main { padding-bottom: 4rem; }
h1, h2, h3, p, li, dd, summary { overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 1rem 0 .4rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem; max-width: 60rem; }
p, ul, dl { max-width: 60rem; }
a { color: var(--accent); } a:focus-visible, button:focus-visible, input:focus-visible, select:focus-visible,
summary:focus-visible, [tabindex]:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; } .skip:focus { position: static; }
.label { display: inline-block; margin: .8rem 0 0; padding: .2rem .6rem; background: var(--note);
  border-left: 4px solid var(--note-line); }
.links { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; list-style: none; margin: .8rem 0 0; padding: 0;
  max-width: none; }
.links a { display: inline-block; padding: .25rem 0; } nav a[aria-current] { color: var(--ink); font-weight: 600;
  text-decoration: none; border-bottom: 2px solid var(--accent); }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; font-size: .95em; }
table { font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .5rem; text-align: right; white-space: nowrap; vertical-align: top; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--paper); z-index: 1; }
thead tr:last-child > * { border-bottom: 1px solid; vertical-align: bottom; }
thead .group { text-align: center; border-bottom: 1px solid var(--line); border-left: .6rem solid var(--paper); }
th button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer;
  text-align: inherit; }
th button:hover { text-decoration: underline; }
th[aria-sort] button::after { content: " \\2193"; color: var(--accent); }
th[aria-sort="ascending"] button::after { content: " \\2191"; }
tbody th.block { text-align: left; padding-top: .8rem; font-style: italic; font-weight: normal; color: var(--soft);
  white-space: normal; position: static; }
tbody tr:hover td { background: var(--tint); }
small, .soft { color: var(--soft); } .best { font-weight: 700; } .second { text-decoration: underline; }
td.words { text-align: left; }
td.prose { text-align: left; white-space: pre-wrap; min-width: 16rem; max-width: 60rem; overflow-wrap: anywhere; }
.wide { overflow-x: auto; max-width: 100%; } .notes { color: var(--soft); margin: .5rem 0; }
.notes ul { padding-left: 1.2rem; }
.pictures { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
.pictures > div { overflow-x: auto; max-width: 100%; }
/* On a narrow screen a figure is scrolled rather than made too small to read. */
.pictures img { display: block; max-width: max(100%, 36rem); }
pre { background: var(--tint); padding: .8rem; overflow-x: auto; white-space: pre; } summary { cursor: pointer; }
.controls { display: flex; flex-wrap: wrap; gap: .5rem 1.2rem; align-items: end; margin: .6rem 0; max-width: none; }
.controls label { display: grid; font-size: .9em; color: var(--soft); max-width: 100%; }
.controls input, .controls select, .controls button { font: inherit; color: var(--ink); background: var(--paper);
  border: 1px solid var(--soft); border-radius: 4px; padding: .25rem .45rem; max-width: 100%; min-height: 2rem; }
.controls button { cursor: pointer; } .controls output { padding: .3rem 0; color: var(--soft); }
.item { border-top: 1px solid var(--line); padding: .35rem 0; max-width: 80rem; }
.item > summary { padding: .15rem 0; } .item .asked { white-space: pre-wrap; margin: .5rem 0; }
.gained { color: var(--gained); } .lost { color: var(--lost); }
.gained, .lost { white-space: nowrap; font-weight: 600; }
.answers { width: 100%; margin: .5rem 0 1rem; } .answers td { white-space: normal; text-align: left; }
.answers td:first-child { width: 12rem; position: static; } .answers td.prose { min-width: 0; max-width: none; }
.answers th.block { padding-top: .5rem; }
dt { font-weight: 600; } dd { margin: 0 0 .4rem 1.2rem; }
@media (max-width: 40rem) {
  .sortable th:first-child, .sortable td:first-child { min-width: 8rem; max-width: 9rem; white-space: normal;
    overflow-wrap: break-word; }
  .answers tr, .answers td, .answers th { display: block; } .answers td:first-child { width: auto; font-weight: 600; }
  .answers td { padding: .1rem 0; } .answers tr { padding: .3rem 0; }
  td.prose { min-width: 12rem; }
}
@media print { nav, .controls, .skip { display: none; } }
"""

SCRIPT = """
"use strict";
const make = (tag, attributes = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
};
const rowsOf = body => [...body.rows].filter(row => row.cells[0].tagName === "TD");

// Inside Snakemake's report a page is no file, and links to files next to it lead nowhere.
if (!["file:", "http:", "https:"].includes(location.protocol)) {
  for (const element of document.querySelectorAll(".local")) element.hidden = true;
}

// Tables: a click on the title of a column sorts by it, up, down, and as it was; rows stay in their block.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...[...table.tHead.rows].at(-1).cells];
  const bodies = [...table.tBodies].map(body => [body, rowsOf(body)]);
  const value = (row, column) => {
    const text = row.cells[column].querySelector("span").textContent.trim();
    const number = parseFloat(text.replace("\u2212", "-").replace("< ", ""));
    return column > 0 && !Number.isNaN(number) ? number : text;
  };
  const compare = (first, second) => {
    const kinds = [typeof first, typeof second];
    if (kinds[0] !== kinds[1]) return kinds[0] === "number" ? -1 : 1;
    return kinds[0] === "number" ? first - second : first.localeCompare(second);
  };
  const sort = column => {
    const next = { none: "ascending", ascending: "descending", descending: "none" };
    const order = next[heads[column].getAttribute("aria-sort") ?? "none"];
    for (const head of heads) head.removeAttribute("aria-sort");
    if (order !== "none") heads[column].setAttribute("aria-sort", order);
    const sign = order === "descending" ? -1 : 1;
    for (const [body, rows] of bodies) {
      const sorted = [...rows];
      if (order !== "none") sorted.sort((a, b) => sign * compare(value(a, column), value(b, column)));
      body.append(...sorted);
    }
  };
  heads.forEach((head, column) => {
    if (!head.textContent) return;
    head.replaceChildren(make("button", { type: "button", title: "sort" }, ...head.childNodes));
    head.addEventListener("click", () => sort(column));
  });
}

// Rows: words in a field leave those that have one of them in their first column, in every table of arms.
const tables = [...document.querySelectorAll("table.sortable")];
const ofArms = tables.filter(table => [...table.tHead.rows].at(-1).cells[0].textContent === "arm");
const filtered = ofArms.length ? [...ofArms, ...document.querySelectorAll("table.answers")] : tables;
if (filtered.length && filtered.some(table => [...table.tBodies].flatMap(rowsOf).length > 3)) {
  const field = make("input", { type: "search", placeholder: "such as: full random", size: 24 });
  const count = make("output");
  const show = () => {
    const words = field.value.toLowerCase().split(/[\\s,]+/).filter(Boolean);
    let shown = 0, all = 0;
    for (const body of filtered.flatMap(table => [...table.tBodies])) {
      const rows = rowsOf(body);
      for (const row of rows) {
        const name = row.cells[0].textContent.toLowerCase();
        row.hidden = !row.classList.contains("stays") && words.length > 0 && !words.some(word => name.includes(word));
      }
      body.hidden = rows.length > 0 && rows.every(row => row.hidden);
      if (!body.parentElement.classList.contains("answers")) {
        all += rows.length;
        shown += rows.filter(row => !row.hidden).length;
      }
    }
    count.textContent = words.length ? `${shown} of ${all} rows` : "";
  };
  field.addEventListener("input", show);
  const what = ofArms.length ? "Show these arms only" : "Show rows with these words only";
  filtered[0].closest(".wide").before(make("div", { className: "controls" }, make("label", {}, what, field), count));
}

// Items: chosen by benchmark, by what changed, for which arm, and by words in them.
for (const explorer of document.querySelectorAll(".explorer")) {
  const items = [...explorer.querySelectorAll(".item")];
  const listed = (item, name) => JSON.parse(item.dataset[name] ?? "[]");
  const select = (label, options) => {
    const field = make("select", {}, ...options.map(([value, text]) => make("option", { value }, text)));
    return [field, make("label", {}, label, field)];
  };
  const benchmarks = [...new Set(items.map(item => item.dataset.benchmark).filter(Boolean))];
  const arms = JSON.parse(explorer.dataset.arms ?? "[]");
  const named = names => names.map(name => [name, name]);
  const [benchmark, ofBenchmark] = select("Benchmark", [["", "all"], ...named(benchmarks)]);
  const [change, ofChange] = select(
    "Change", [["", "either way"], ["lost", "right \u2192 wrong"], ["gained", "wrong \u2192 right"]]);
  const [arm, ofArm] = select("Arm", [["", "any"], ...named(arms)]);
  const words = make("input", { type: "search", size: 18 });
  const count = make("output");
  const texts = new Map(items.map(item => [item, item.textContent.toLowerCase()]));
  const show = () => {
    for (const item of items) {
      const kinds = change.value ? [change.value] : ["lost", "gained"];
      const changed = kinds.flatMap(kind => listed(item, kind));
      const fits = !arms.length || (arm.value ? changed.includes(arm.value) : changed.length > 0);
      const isOf = !benchmark.value || item.dataset.benchmark === benchmark.value;
      item.hidden = !(fits && isOf && texts.get(item).includes(words.value.trim().toLowerCase()));
    }
    count.textContent = `${items.filter(item => !item.hidden).length} of ${items.length} items`;
  };
  const all = make("button", { type: "button" }, "Open all");
  all.addEventListener("click", () => {
    const open = all.textContent === "Open all";
    for (const item of items) if (!item.hidden) item.open = open;
    all.textContent = open ? "Close all" : "Open all";
  });
  for (const field of [benchmark, change, arm, words]) field.addEventListener("input", show);
  const fields = [...(benchmarks.length > 1 ? [ofBenchmark] : []), ...(arms.length ? [ofChange, ofArm] : [])];
  explorer.prepend(
    make("div", { className: "controls" }, ...fields, make("label", {}, "With these words", words), all, count));
  show();
}
"""
