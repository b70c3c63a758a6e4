// How well a new password resists guessing, said in words while it is typed; the server says the same (access.passwords.strength).
const STRENGTHS = [[20, "Very good: long"], [15, "Good"], [12, "Enough: longer is better"]];

export function tellStrength() {
  const box = document.querySelector("[data-strength]");
  const said = document.getElementById("strength");
  if (!box || !said) return;
  box.addEventListener("input", () => {
    const length = [...box.value].length;
    const found = STRENGTHS.find(([least]) => length >= least);
    said.textContent = !length ? "" : found ? found[1] : `Too short: ${length} of 12 characters`;
  });
}

// A button that copies what it names, where the browser lets it; without this file the text can be selected.
export function offerCopy() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
      button.textContent = "Copied";
    });
  }
  for (const button of document.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  }
}
