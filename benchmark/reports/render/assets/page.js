// The leaderboard page: sorting, filters, the panel of each row, the theme. Everything shown without it stays readable.
// Texts of the data become text nodes, never markup.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const MINUS = "\u2212";

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

const shown = (value, decimals = 2) => (value === null || value === undefined ? "n/a" : value.toFixed(decimals).replace("-", MINUS));
const signed = (value) => (value === null || value === undefined ? "n/a" : (value > 0 ? "+" : "") + shown(value));

// ---- sorting: a button in each heading; a row keeps its panel; what is missing stays last

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, index) => {
    const button = element("button", { type: "button" }, head.textContent);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const first = head.dataset.kind === "number" && head.dataset.key !== "rank" ? "descending" : "ascending";
      const now = head.getAttribute("aria-sort");
      const next = now === null ? first : now === "ascending" ? "descending" : "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", next);
      sortRows(table, index, head.dataset.kind, next === "ascending" ? 1 : -1);
    });
  });
  const initial = heads.find((head) => head.dataset.key === "test.f1");
  if (initial) initial.setAttribute("aria-sort", "descending"); // the order they come in
}

function sortRows(table, index, kind, sign) {
  const body = table.tBodies[0];
  const rows = [...body.querySelectorAll(":scope > tr[data-entry]")];
  const values = new Map(rows.map((row) => [row, row.cells[index].dataset.value]));
  const compare = kind === "number" ? (a, b) => Number(a) - Number(b) : (a, b) => a.localeCompare(b);
  rows.sort((one, other) => {
    const [a, b] = [values.get(one), values.get(other)];
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    return sign * compare(a, b);
  });
  for (const row of rows) {
    const panel = panelOf(row);
    body.append(row);
    if (panel) body.append(panel);
  }
}

const panelOf = (row) => document.getElementById(`panel-${row.dataset.entry}`);

// ---- panels: made when first opened

function expandable(row) {
  const head = row.querySelector("th");
  const id = `panel-${row.dataset.entry}`;
  const button = element("button", { type: "button", class: "expand", "aria-expanded": "false" }, ...head.childNodes);
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-expanded") !== "true";
    if (open && !panelOf(row)) {
      row.after(makePanel(Number(row.dataset.entry), row.cells.length));
      button.setAttribute("aria-controls", id);
    }
    panelOf(row).hidden = !open;
    button.setAttribute("aria-expanded", String(open));
  });
}

function makePanel(number, width) {
  const entry = data.entries[number];
  const panel = element("div", { class: "panel", role: "group", "aria-label": `Details of ${entry.name}` });
  const figure = document.getElementById(`relations-${number}`);
  if (figure) panel.append(figure); // from the list that serves where there is no script
  panel.append(element("div", {}, seedTable(entry), settingsTable(entry)), relationTable(entry));
  return element("tr", { class: "panel-row", id: `panel-${number}` }, element("td", { colspan: String(width) }, panel));
}

function section(title, table, note) {
  const box = element("div", { class: "tall scroll", tabindex: "0", role: "region", "aria-label": title }, table);
  return element("section", {}, element("h3", {}, title), note ? element("p", { class: "notes" }, note) : null, box);
}

function headed(names, numeric) {
  const heads = names.map((name, i) => element("th", { scope: "col", class: numeric[i] ? "number" : "" }, name));
  const body = element("tbody");
  return [element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body), body];
}

function addRow(body, texts, numeric) {
  const cells = texts.map((text, i) => element(i ? "td" : "th", { class: numeric[i] ? "number" : "", ...(i ? {} : { scope: "row" }) }, text));
  body.append(element("tr", {}, ...cells));
}

function seedTable(entry) {
  if (!entry.seeds.length) return element("p", {}, entry.instead);
  const numeric = [true, true, true, true, true, true, false];
  const [table, body] = headed(["Seed", "Test F1", "Δ F1", "LTail F1", "Best epoch", "Seconds", "Device"], numeric);
  for (const run of entry.seeds) {
    const epoch = run.best_epoch === null ? "n/a" : run.epochs === null ? `${run.best_epoch}` : `${run.best_epoch} of ${run.epochs}`;
    const difference = run.difference === null ? "" : signed(run.difference);
    const cost = run.seconds === null ? "n/a" : shown(run.seconds, 0);
    addRow(body, [`${run.seed}`, shown(run.f1), difference, shown(run.ltail), epoch, cost, run.device ?? "n/a"], numeric);
  }
  const [{ parameters }] = entry.seeds;
  return section("Runs", table, parameters ? `${parameters.toLocaleString("en")} parameters.` : null);
}

function relationTable(entry) {
  const relations = data.studies[entry.study];
  if (!relations.length) return element("p", {}, "These runs hold no scores per relation.");
  const numeric = [false, true, true, true, true, true];
  const [table, body] = headed(["Relation", "In training", "In test", "F1", "none", "Change"], numeric);
  table.classList.add("changes");
  relations.forEach(([relation, name, frequency, gold], i) => {
    const base = entry.none ? shown(entry.none[i], 1) : "";
    const change = entry.change ? signed(entry.change[i]) : "";
    addRow(body, [name ? `${name} (${relation})` : relation, `${frequency ?? ""}`, `${gold ?? ""}`, shown(entry.relations[i], 1), base, change], numeric);
  });
  const paired = entry.none ? `none and change: over the ${entry.paired} seed(s) that both have.` : null;
  return section("Test F1 per relation", table, paired);
}

function settingsTable(entry) {
  const rows = entry.settings.map(([key, value]) => element("tr", {}, element("td", { class: "key" }, key), element("td", { class: "value" }, value)));
  return section(`Configuration (${entry.experiment})`, element("table", {}, element("tbody", {}, ...rows)), null);
}

// ---- filters

function filter() {
  const form = document.getElementById("filters");
  const wanted = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value && value.slice(1)]));
  const chosen = Object.fromEntries([...form.querySelectorAll("select")].map((select) => [select.name, select.value !== ""]));
  const fits = (name, value) => !chosen[name] || wanted[name] === value;
  let visible = 0;
  let all = 0;
  for (const board of document.querySelectorAll(".board")) {
    let here = 0;
    const ofDataset = fits("dataset", board.dataset.dataset);
    for (const row of board.querySelectorAll("tr[data-entry]")) {
      const shows = fits("backbone", row.dataset.backbone) && fits("augmenter", row.dataset.augmenter);
      row.hidden = !shows;
      const panel = panelOf(row);
      if (panel) panel.hidden = !shows || row.querySelector("button.expand").getAttribute("aria-expanded") !== "true";
      here += shows;
      all += 1;
    }
    for (const figure of board.querySelectorAll("figure[data-backbone]")) figure.hidden = !fits("backbone", figure.dataset.backbone);
    board.hidden = !ofDataset || !here;
    visible += ofDataset ? here : 0;
  }
  document.getElementById("shown").textContent = `${visible} of ${all} entries shown`;
}

// ---- theme: the system's, until another is chosen; remembered where the browser allows it

const THEMES = ["system", "light", "dark"];

function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  document.getElementById("theme").textContent = `Theme: ${theme}`;
}

function remembered() {
  try {
    const theme = localStorage.getItem("theme");
    return THEMES.includes(theme) ? theme : "system";
  } catch {
    return "system";
  }
}

let theme = remembered();
setTheme(theme);
document.getElementById("theme").addEventListener("click", () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  setTheme(theme);
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // not remembered, then
  }
});

document.querySelectorAll("table.leaderboard").forEach(sortable);
document.querySelectorAll("tr[data-entry]").forEach(expandable);
document.querySelectorAll("details.per-relation").forEach((list) => (list.hidden = true)); // its figures move into the panels
document.getElementById("filters").hidden = false;
document.getElementById("filters").addEventListener("change", filter);
document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
filter();
