// The command palette: every link and button of the page, found by typing. Nothing is listed that the page does not offer.
import { label } from "./keys.js";

const SOURCES = ".nav a, .hd .end a, .hd .end button, .bar nav a, .past a, .banner a, .chips a, .rows th a, .asof button";

export function preparePalette() {
  const dialog = document.getElementById("palette");
  if (!dialog?.showModal) return null;
  const box = dialog.querySelector("#cmd");
  const list = dialog.querySelector("#opts");
  let shown = [];
  let at = 0;

  function commands() {
    const seen = new Set();
    return [...document.querySelectorAll(SOURCES)]
      .map((element) => ({ element, words: label(element), key: element.dataset.key || "", group: group(element) }))
      .filter(({ words, element }) => {
        const id = `${words}${element.href || ""}`;
        return words && !seen.has(id) && seen.add(id);
      });
  }

  function draw() {
    const wanted = box.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    shown = commands().filter(({ words }) => wanted.every((part) => words.toLowerCase().includes(part))).slice(0, 40);
    at = 0;
    const groups = Map.groupBy ? Map.groupBy(shown, ({ group }) => group) : new Map([["Commands", shown]]);
    list.replaceChildren(
      ...[...groups].map(([name, found], n) => {
        const part = document.createElement("div");
        part.setAttribute("role", "group");
        part.setAttribute("aria-labelledby", `g${n}`);
        const head = document.createElement("p");
        head.setAttribute("role", "presentation");
        head.className = "ghead";
        head.id = `g${n}`;
        head.textContent = name;
        part.append(head, ...found.map(option));
        return part;
      }),
    );
    shown = [...groups.values()].flat();
    choose(0);
  }

  function option(command) {
    const made = document.createElement("div");
    made.setAttribute("role", "option");
    made.id = `o${Math.random().toString(36).slice(2)}`;
    made.append(document.createTextNode(command.words));
    if (command.key) {
      const hint = document.createElement("kbd");
      hint.textContent = command.key;
      made.append(hint);
    }
    made.addEventListener("click", () => go(command));
    command.option = made;
    return made;
  }

  function choose(n) {
    at = Math.max(0, Math.min(shown.length - 1, n));
    shown.forEach((command, i) => command.option.setAttribute("aria-selected", String(i === at)));
    const chosen = shown[at]?.option;
    if (chosen) {
      box.setAttribute("aria-activedescendant", chosen.id);
      chosen.scrollIntoView({ block: "nearest" });
    } else {
      box.removeAttribute("aria-activedescendant");
    }
  }

  function go({ element }) {
    dialog.close();
    element.click();
  }

  box.addEventListener("input", draw);
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") choose(at + 1);
    else if (event.key === "ArrowUp") choose(at - 1);
    else if (event.key === "Enter" && shown[at]) go(shown[at]);
    else return;
    event.preventDefault();
  });

  return {
    open() {
      if (dialog.open) return;
      box.value = "";
      draw();
      dialog.showModal();
      box.focus();
    },
  };
}

function group(element) {
  if (element.closest(".nav")) return "Sections";
  if (element.closest(".rows")) return "On this page";
  if (element.closest(".bar")) return "Everywhere";
  return "Here";
}
