"use strict";
(() => {
  // Rows whose value is missing come last, in both directions; a number that is told in data-value
  // sorts as one.
  const key = (row, column, numeric) => {
    const cell = row.cells[column];
    if (!numeric) return cell.textContent.trim();
    return "value" in cell.dataset ? Number(cell.dataset.value) : null;
  };
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en"));

  const sort = (head) => {
    const ascending = head.getAttribute("aria-sort") !== "ascending";
    const numeric = head.classList.contains("number");
    const body = head.closest("table").tBodies[0];
    const keyed = Array.from(body.rows, (row) => [key(row, head.cellIndex, numeric), row]);
    const known = keyed.filter(([value]) => value !== null);
    known.sort(([a], [b]) => (ascending ? compare(a, b) : compare(b, a)));
    body.append(...known.map(([, row]) => row));
    body.append(...keyed.filter(([value]) => value === null).map(([, row]) => row));
    for (const other of head.parentElement.cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  };
  for (const head of document.querySelectorAll("table.sortable thead th")) {
    head.querySelector("button").addEventListener("click", () => sort(head));
  }

  // On paper all details are open; those that the reader had closed are closed again afterwards.
  let closed = [];
  const printing = (starts) => {
    if (starts) closed = [...closed, ...document.querySelectorAll("details:not([open])")];
    for (const details of closed) details.open = starts;
    if (!starts) closed = [];
  };
  matchMedia("print").addEventListener("change", (event) => printing(event.matches));
  addEventListener("beforeprint", () => printing(true));
  addEventListener("afterprint", () => printing(false));
})();
