// Sorts a table of class "sortable" by the column whose header is clicked; numbers start with the largest.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    const numeric = head.classList.contains("number");
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const ascending = (a, b) => (numeric ? value(a) - value(b) : value(a).localeCompare(value(b)));
    button.addEventListener("click", () => {
      const first = numeric ? "descending" : "ascending";
      const second = numeric ? "ascending" : "descending";
      const order = head.ariaSort === first ? second : first;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.ariaSort = order;
      body.append(...[...body.rows].sort((a, b) => (order === "ascending" ? ascending(a, b) : ascending(b, a))));
    });
  });
}
