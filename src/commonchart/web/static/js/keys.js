// Keys run what is already on the page: any link, button or field with data-key. Single letters can be switched off.
const lettersOn = () => document.body.dataset.letters !== "off";
const typing = (target) => target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
const shown = (element) => element.offsetParent !== null || element.getClientRects().length > 0;

export function withKey(key) {
  return [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key && shown(one));
}

function run(element) {
  if (!element) return false;
  if (element.matches("input, textarea")) {
    element.focus();
    element.select();
  } else {
    element.click();
  }
  return true;
}

function rows() {
  return [...document.querySelectorAll("main .rows tbody tr")].filter((row) => row.querySelector("a") && shown(row));
}

function move(step) {
  const all = rows();
  const at = all.findIndex((row) => row.contains(document.activeElement));
  const next = all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + step))];
  next?.querySelector("th a, a")?.focus();
  return Boolean(next);
}

function tickRow() {
  const row = rows().find((one) => one.contains(document.activeElement));
  const box = row?.querySelector("input[type=checkbox]");
  box?.click();
  return Boolean(box);
}

function list() {
  const dialog = document.getElementById("keys");
  if (!dialog || dialog.open) return false;
  const lines = [...document.querySelectorAll("[data-key]")].filter(shown).map((one) => [one.dataset.key, label(one)]);
  lines.push(["j / k", "Next and previous row"], ["Enter", "Open the row"], ...(document.querySelector("main .rows tbody input[type=checkbox]") ? [["x", "Choose the row"]] : []), ["?", "This list"], ["Esc", "Close"]);
  const target = dialog.querySelector("#keylist");
  target.replaceChildren(...lines.flatMap(([key, words]) => [tag("dt", tag("kbd", key)), tag("dd", words)]));
  dialog.showModal();
  return true;
}

function tag(name, content) {
  const made = document.createElement(name);
  made.append(content);
  return made;
}

export function label(element) {
  if (element.matches("input")) return element.placeholder || element.labels?.[0]?.textContent || "";
  const copy = element.cloneNode(true);
  copy.querySelectorAll("kbd, .n, [aria-hidden=true]").forEach((one) => one.remove());
  return copy.textContent.trim().replace(/\s+/g, " ");
}

export function listenForKeys(palette) {
  let waiting = 0;
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.altKey) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      if (palette) {
        event.preventDefault();
        palette.open();
      }
      return;
    }
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
      event.target.closest?.("form")?.querySelector("[data-submit]")?.click();
      return;
    }
    if (event.ctrlKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      document.getElementById("found")?.replaceChildren();
      if (!document.querySelector(":popover-open") && !typing(event.target)) run(withKey("Esc"));
      return;
    }
    if (typing(event.target) || !lettersOn() || event.key.length !== 1) return;
    const second = Date.now() - waiting < 1200;
    waiting = 0;
    const done = second ? run(withKey(`g ${event.key}`)) : single(event.key);
    if (!second && event.key === "g") waiting = Date.now();
    if (done) event.preventDefault();
  });
}

function single(key) {
  if (key === "j") return move(1);
  if (key === "k") return move(-1);
  if (key === "?") return list();
  if (key === "x" && tickRow()) return true;
  return key !== "g" && run(withKey(key));
}
