"use strict";
// Tables sort by the value behind a cell and show only the rows that the filters above them choose.

const valueOf = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.v ?? cell.textContent.trim();
};

const comparing = (column, isNumber) => (a, b) => {
  const left = valueOf(a, column), right = valueOf(b, column);
  return isNumber ? Number(left) - Number(right) : left.localeCompare(right, "en", { numeric: true });
};

const sortBy = (table, head) => {
  const descending = head.getAttribute("aria-sort") === "ascending";
  const order = comparing(head.cellIndex, head.classList.contains("n"));
  const rows = [...table.tBodies[0].rows].sort(descending ? (a, b) => order(b, a) : order);
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  table.tBodies[0].append(...rows);
};

const filter = (box) => {
  const chosen = [...box.querySelectorAll("select")].filter((select) => select.value);
  const words = (box.querySelector("input")?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...box.querySelector("tbody").rows];
  for (const row of rows) {
    const fits = chosen.every((select) => row.dataset[select.dataset.facet] === select.value);
    const text = words.length ? row.textContent.toLowerCase() : "";
    row.hidden = !(fits && words.every((word) => text.includes(word)));
  }
  const output = box.querySelector("output");
  if (output) output.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
};

for (const box of document.querySelectorAll(".table-box")) {
  const table = box.querySelector("table");
  for (const head of table.tHead.rows[0].cells) head.querySelector("button").addEventListener("click", () => sortBy(table, head));
  for (const control of box.querySelectorAll("select, input")) control.addEventListener("input", () => filter(box));
  filter(box);
}
