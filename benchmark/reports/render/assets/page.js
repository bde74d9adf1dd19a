// The leaderboard page: sorting and filters. Everything shown without it stays readable.
"use strict";

// ---- sorting: a button in each heading; what is missing stays last

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
  const rows = [...body.rows].sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    return sign * compare(a, b);
  });
  body.append(...rows);
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
      here += !row.hidden;
      all += 1;
    }
    board.hidden = !ofDataset || !here;
    visible += ofDataset ? here : 0;
  }
  document.getElementById("shown").textContent = `${visible} of ${all} entries shown`;
}

document.querySelectorAll("table.leaderboard").forEach(sortable);
document.getElementById("filters").hidden = false;
document.getElementById("filters").addEventListener("change", filter);
document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
filter();
