// The leaderboard page: sorting, filters and the panel of each row. Everything shown without it stays readable.
"use strict";

// ---- panels: a button in each row's heading opens the one below the row

const panelOf = (row) => (row.nextElementSibling?.matches(".panel-row") ? row.nextElementSibling : null);

function expandable(row) {
  const panel = panelOf(row);
  if (!panel) return;
  const head = row.querySelector("th");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "expand";
  button.setAttribute("aria-controls", panel.id);
  button.append(...head.childNodes);
  head.append(button);
  const show = (open) => {
    panel.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
  };
  show(false);
  button.addEventListener("click", () => show(panel.hidden));
}

// ---- sorting: a button in each heading; a row keeps its panel; what is missing stays last

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const first = head.dataset.kind === "number" && head.dataset.key !== "rank" ? "descending" : "ascending";
      const now = head.getAttribute("aria-sort");
      const next = now === null ? first : now === "ascending" ? "descending" : "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", next);
      sortRows(table.tBodies[0], index, head.dataset.kind, next === "ascending" ? 1 : -1);
    });
  });
  const initial = heads.find((head) => head.dataset.key === "test.f1");
  if (initial) initial.setAttribute("aria-sort", "descending"); // the order they come in
}

function sortRows(body, index, kind, sign) {
  const value = (row) => row.cells[index].dataset.value;
  const compare = kind === "number" ? (a, b) => Number(a) - Number(b) : (a, b) => a.localeCompare(b);
  const rows = [...body.rows].filter((row) => row.dataset.backbone).map((row) => [row, panelOf(row)]);
  rows.sort(([one], [other]) => {
    const [a, b] = [value(one), value(other)];
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    return sign * compare(a, b);
  });
  body.append(...rows.flat().filter(Boolean));
}

// ---- filters

function filter() {
  const form = document.getElementById("filters");
  const wanted = Object.fromEntries(new FormData(form)); // "=name", or "" for all
  const fits = (name, value) => !wanted[name] || wanted[name] === `=${value}`;
  let visible = 0;
  let all = 0;
  for (const board of document.querySelectorAll(".board")) {
    let here = 0;
    const ofDataset = fits("dataset", board.dataset.dataset);
    for (const row of board.querySelectorAll("tr[data-backbone]")) {
      row.hidden = !(fits("backbone", row.dataset.backbone) && fits("augmenter", row.dataset.augmenter));
      const panel = panelOf(row);
      if (panel) panel.hidden = row.hidden || row.querySelector(".expand").getAttribute("aria-expanded") !== "true";
      here += !row.hidden;
      all += 1;
    }
    board.hidden = !ofDataset || !here;
    visible += ofDataset ? here : 0;
  }
  document.getElementById("shown").textContent = `${visible} of ${all} entries shown`;
}

document.querySelectorAll("table.leaderboard").forEach(sortable);
document.querySelectorAll("tr[data-backbone]").forEach(expandable);
document.getElementById("filters").hidden = false;
document.getElementById("filters").addEventListener("change", filter);
document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
filter();
