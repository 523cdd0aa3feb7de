// Tables that sort and filter: every <table data-sortable> of the page. Without this script they are
// plain tables. Column heads become buttons; <th data-filter> offers the values of its column, and
// <table data-find> a box to type in. A cell sorts by its data-value, else by its text; cells without
// either stay at the end.
(() => {
  "use strict";
  const words = JSON.parse(document.getElementById("table-words").textContent);
  const language = document.documentElement.lang;
  const element = (tag, props = {}, ...children) => {
    const el = Object.assign(document.createElement(tag), props);
    el.append(...children);
    return el;
  };
  const text = (cell) => cell.textContent.trim().replace(/\s+/g, " ");
  const value = (cell) => {
    const own = cell.dataset.value ?? text(cell);
    return own === "" ? null : isNaN(own) ? own : Number(own);
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), language);

  const mount = (table) => {
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    const body = table.tBodies[0];
    const written = [...body.rows];

    const sort = (column, direction) => {
      heads.forEach((head, i) => {
        if (i === column && direction) head.setAttribute("aria-sort", direction);
        else head.removeAttribute("aria-sort");
      });
      const sign = direction === "descending" ? -1 : 1;
      const rows = written.map((row) => [row, value(row.cells[column])]);
      if (direction) rows.sort(([, a], [, b]) => (a === null) - (b === null) || (a === null ? 0 : sign * compare(a, b)));
      body.append(...rows.map(([row]) => row));
    };
    heads.forEach((head, column) => {
      const button = element("button", { type: "button", title: words.sort }, ...head.childNodes);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        sort(column, now === "ascending" ? "descending" : now ? null : "ascending");
      });
      head.append(button);
    });

    // The tools above: a box to type in, a list of values for each column that offers them.
    const tools = element("div", { className: "table-tools" });
    const tests = [];
    const shown = element("span", { className: "shown" });
    shown.setAttribute("role", "status");
    const filter = () => {
      let count = 0;
      for (const row of written) {
        row.hidden = !tests.every((test) => test(row));
        count += !row.hidden;
      }
      shown.textContent = words.shown.replace("{shown}", count).replace("{all}", written.length);
      dispatchEvent(new Event("resize")); // what scrolls sideways may have changed
    };
    if (table.dataset.find !== undefined) {
      const input = element("input", { type: "search", placeholder: words.example, autocomplete: "off", spellcheck: false });
      const found = written.map((row) => text(row).toLocaleLowerCase(language));
      const plain = (s) => s.toLocaleLowerCase(language).trim();
      tests.push((row) => plain(input.value).split(/\s+/).every((part) => found[written.indexOf(row)].includes(part)));
      input.addEventListener("input", filter);
      tools.append(element("label", {}, words.find, input));
    }
    heads.forEach((head, column) => {
      if (head.dataset.filter === undefined) return;
      const values = [...new Set(written.map((row) => text(row.cells[column])))].filter(Boolean);
      const select = element("select", {}, element("option", { value: "", textContent: words.all }));
      select.append(...values.map((name) => element("option", { value: name, textContent: name })));
      tests.push((row) => !select.value || text(row.cells[column]) === select.value);
      select.addEventListener("change", filter);
      tools.append(element("label", {}, text(head), select));
    });
    if (!tests.length) return;
    tools.append(shown);
    (table.closest(".table-scroll") ?? table).before(tools);
    filter();
  };
  document.querySelectorAll("table[data-sortable]").forEach(mount);
})();
