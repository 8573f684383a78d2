"use strict";
(() => {
  const table = document.getElementById("rows");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const field = (name) => document.getElementById("filter-" + name);
  const shown = document.getElementById("shown");

  const value = (row, column) => {
    const cell = row.cells[column];
    const text = "value" in cell.dataset ? cell.dataset.value : cell.textContent.trim();
    const number = text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text);
    return text === "" ? null : Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));

  const sort = (column, header) => {
    const descending = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    rows.sort((one, two) => {
      const [a, b] = [value(one, column), value(two, column)];
      if (a === null || b === null) return (a === null) - (b === null);  // the unknown comes last either way
      return descending ? compare(b, a) : compare(a, b);
    });
    body.append(...rows);
  };

  const filter = () => {
    const [layer, verdict, bits] = [field("layer").value.toLowerCase(), field("verdict").value, field("bits").value];
    let count = 0;
    for (const row of rows) {
      const keep = row.dataset.layer.toLowerCase().includes(layer)
        && (!verdict || row.dataset.verdict === verdict) && (!bits || row.dataset.bits === bits);
      row.hidden = !keep;
      count += keep;
    }
    shown.textContent = `${count} of ${rows.length} rows`;
  };

  table.querySelectorAll(".sorters th").forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    button.addEventListener("click", () => sort(column, header));
    header.replaceChildren(button);
  });
  document.getElementById("filters").addEventListener("input", filter);
  document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
