(() => {
  "use strict";
  const table = document.getElementById("all");
  if (!table) {
    return;
  }
  const wanted = document.getElementById("wanted");
  const structure = document.getElementById("structure");
  const only = document.getElementById("only");
  const shown = document.getElementById("shown");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const headings = [...table.tHead.rows[0].cells];

  function show() {
    const name = wanted.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const isNamed = row.cells[0].textContent.toLowerCase().includes(name);
      const isChosen = !structure.value || row.cells[2].textContent === structure.value;
      row.hidden = !isNamed || !isChosen || (only.checked && !row.classList.contains("failed"));
      count += row.hidden ? 0 : 1;
    }
    shown.textContent = `${count} of ${rows.length} rows shown`;
  }

  // Figures have a sign of their own; what is undefined comes last either way.
  function figureOf(row, column) {
    return parseFloat(row.cells[column].textContent.replace("\u2212", "-").replace(/[<,]/g, ""));
  }

  function sort(column) {
    const heading = headings[column];
    const isUp = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of headings) {
      other.removeAttribute("aria-sort");
    }
    heading.setAttribute("aria-sort", isUp ? "ascending" : "descending");
    const sign = isUp ? 1 : -1;
    const isText = column < 4;
    rows.sort((one, other) => {
      if (isText) {
        const texts = [one, other].map((row) => row.cells[column].textContent);
        return sign * texts[0].localeCompare(texts[1], "en", { numeric: true });
      }
      const [a, b] = [figureOf(one, column), figureOf(other, column)];
      if (Number.isNaN(a) || Number.isNaN(b)) {
        return Number.isNaN(a) - Number.isNaN(b);
      }
      return sign * (a - b);
    });
    body.append(...rows);
  }

  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => sort(column));
  });
  wanted.addEventListener("input", show);
  structure.addEventListener("change", show);
  only.addEventListener("change", show);
  show();
})();
