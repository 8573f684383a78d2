"use strict";
// Sorting, filtering and choosing columns of the table #rows. What is shown stands in the address
// after "#view?", so that a view can be linked; any other hash leads to a place on the page.
(() => {
  const table = document.getElementById("rows");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const original = [...rows];
  const filters = [...document.querySelectorAll("[data-filter]")];
  const choices = [...document.querySelectorAll("[data-columns]")];
  const headers = [...table.querySelectorAll("th[data-key]")];
  const shown = document.getElementById("shown");
  const empty = document.getElementById("empty");
  const VIEW = "#view?";
  let sorted = { key: "", order: "" };
  let later = 0;

  const value = (row, column) => {
    const cell = row.cells[column];
    const text = "value" in cell.dataset ? cell.dataset.value : cell.textContent.trim();
    const number = text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text);
    return text === "" ? null : Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => {
    if (typeof a !== "number" || typeof b !== "number") return String(a).localeCompare(String(b), "en", { numeric: true });
    return a < b ? -1 : a > b ? 1 : 0;
  };

  const sort = (key, order) => {
    const header = headers.find((one) => one.dataset.key === key);
    for (const other of headers) other.removeAttribute("aria-sort");
    sorted = header ? { key, order } : { key: "", order: "" };
    if (!header) return body.append(...original);
    header.setAttribute("aria-sort", order);
    const column = header.cellIndex;
    const keyed = original.map((row) => [value(row, column), row]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);  // the unknown comes last either way
      return order === "descending" ? compare(b, a) : compare(a, b);
    });
    body.append(...keyed.map(([, row]) => row));
  };

  const filter = () => {
    const wanted = filters.filter((one) => one.value).map((one) => [one.dataset.filter, one.value.toLowerCase(), one.dataset.match]);
    let count = 0;
    for (const row of rows) {
      const keep = wanted.every(([name, text, match]) => {
        const here = row.dataset[name].toLowerCase();
        return match === "equals" ? here === text : here.includes(text);
      });
      row.hidden = !keep;
      count += keep;
    }
    shown.textContent = `${count} of ${rows.length} rows`;
    empty.hidden = count > 0;
  };

  const choose = () => {
    for (const choice of choices) table.classList.toggle(`without-${choice.dataset.columns}`, !choice.checked);
  };

  const save = () => {
    const view = new URLSearchParams();
    for (const one of filters) if (one.value) view.set(one.dataset.filter, one.value);
    if (sorted.key) view.set("sort", sorted.key);
    if (sorted.order === "descending") view.set("order", sorted.order);
    if (choices.some((choice) => choice.checked !== choice.defaultChecked)) {
      view.set("columns", choices.filter((choice) => choice.checked).map((choice) => choice.dataset.columns).join(" "));
    }
    if ([...view].length || location.hash.startsWith(VIEW)) history.replaceState(null, "", VIEW + view);
  };
  const saveSoon = () => {
    clearTimeout(later);
    later = setTimeout(save, 200);
  };

  const load = () => {
    if (!location.hash.startsWith(VIEW)) return;
    const view = new URLSearchParams(location.hash.slice(VIEW.length));
    for (const one of filters) {
      one.value = view.get(one.dataset.filter) ?? "";
      if (one.selectedIndex === -1) one.value = "";  // a link from a run with other choices
    }
    const columns = view.get("columns")?.split(" ");
    for (const choice of choices) choice.checked = columns?.includes(choice.dataset.columns) ?? choice.defaultChecked;
    sort(view.get("sort") ?? "", view.get("order") === "descending" ? "descending" : "ascending");
    choose();
    filter();
    document.getElementById("table").scrollIntoView();
  };

  for (const header of headers) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => {
      sort(header.dataset.key, header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending");
      save();
    });
    header.replaceChildren(button);
  }
  const form = document.getElementById("filters");
  form.hidden = false;
  form.addEventListener("input", () => { choose(); filter(); saveSoon(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("all").addEventListener("click", () => { form.reset(); sort("", ""); choose(); filter(); save(); });
  window.addEventListener("hashchange", load);
  choose();
  filter();
  load();
})();
