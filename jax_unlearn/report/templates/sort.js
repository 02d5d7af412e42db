// Sorts a table by the column whose head is pressed; once more turns the order round.
for (const button of document.querySelectorAll("th > button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, heads = [...head.parentElement.children];
    const column = heads.indexOf(head), body = head.closest("table").tBodies[0];
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const key = (row) => {
      const cell = row.children[column], order = cell.dataset.order;
      return order === undefined ? cell.textContent.trim() : Number(order);
    };
    const compare = (a, b) => {
      const x = key(a), y = key(b);
      // What is not known stands last either way.
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      if (typeof x === "number" && typeof y === "number") return sign * (x - y);
      return sign * String(x).localeCompare(String(y));
    };
    body.append(...[...body.rows].sort(compare));
  });
}
