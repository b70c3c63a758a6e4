// Lists with tick boxes: how many are chosen, and one box for all rows of the page. Without this file the form works as it is.
export function countChosen() {
  const form = document.querySelector("form[data-choose]");
  if (!form) return;
  const boxes = [...form.querySelectorAll("tbody input[name=pick]")];
  const every = form.querySelector("[data-every]");
  const said = form.querySelector("[data-chosen]");
  const all = form.querySelector("input[name=all]");

  function tell() {
    const n = boxes.filter((box) => box.checked).length;
    boxes.forEach((box) => box.closest("tr").classList.toggle("sel", box.checked));
    said.textContent = all?.checked ? said.dataset.all : `${n} chosen`;
    if (every) {
      every.checked = n === boxes.length;
      every.indeterminate = n > 0 && n < boxes.length;
    }
  }

  if (every) {
    every.closest("label").hidden = false;
    every.addEventListener("change", () => {
      boxes.forEach((box) => { box.checked = every.checked; });
      tell();
    });
  }
  form.addEventListener("change", tell);
  tell();
}
