// Everything here has a link or a button first; without this file the pages still work.
import { keepDrafts } from "./drafts.js";
import { listenForKeys } from "./keys.js";
import { preparePalette } from "./palette.js";
import { preparePopover } from "./pop.js";
import { countChosen } from "./choose.js";
import { watchIdle } from "./idle.js";
import { leaveNothing } from "./leaving.js";
import { preparePasskeys } from "./passkey.js";
import { offerCopy, tellStrength } from "./strength.js";

preparePopover();
const palette = preparePalette();
keepDrafts();
countChosen();
preparePasskeys();
watchIdle();
leaveNothing();
tellStrength();
offerCopy();
listenForKeys(palette);

document.addEventListener("click", (event) => {
  const closer = event.target.closest("[data-close]");
  if (closer) {
    closer.closest("dialog")?.close();
    closer.closest("[popover]")?.hidePopover();
  }
  const opener = event.target.closest("[data-open]");
  if (opener?.dataset.open === "palette") palette?.open();
});

document.getElementById("errors")?.focus();

const nav = document.querySelector(".side");
const here = nav?.querySelector("[aria-current]");
if (here && nav.scrollWidth > nav.clientWidth) nav.scrollLeft = here.offsetLeft - nav.offsetLeft - 16;

// The menu of the bar closes when one looks elsewhere, and by Esc.
const menu = document.querySelector("details.menu");
document.addEventListener("click", (event) => {
  if (menu?.open && !menu.contains(event.target)) menu.open = false;
});
menu?.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
