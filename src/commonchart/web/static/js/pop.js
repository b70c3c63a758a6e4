// Provenance in place: a source mark or a value opens its provenance beside it; the same link opens the page elsewhere.
export function preparePopover() {
  const pop = document.getElementById("pop");
  if (!pop?.showPopover || !window.htmx) return;
  let asked = null;

  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a.src, a[data-pop], .flow td a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    mark(link);
    try {
      await window.htmx.ajax("GET", link.href, { target: "#pop", swap: "innerHTML" });
    } catch {
      window.location.assign(link.href);
      return;
    }
    pop.showPopover();
    place(link.getBoundingClientRect());
    pop.focus();
  });

  pop.addEventListener("toggle", (event) => {
    if (event.newState === "closed") {
      asked?.closest("td")?.classList.remove("sel");
      asked?.focus({ preventScroll: true });
      asked = null;
    }
  });

  function mark(link) {
    asked?.closest("td")?.classList.remove("sel");
    asked = link;
    link.closest("td")?.classList.add("sel");
  }

  function place(spot) {
    const gap = 6;
    const below = spot.bottom + gap + pop.offsetHeight <= window.innerHeight;
    const top = below ? spot.bottom + gap : Math.max(gap, spot.top - gap - pop.offsetHeight);
    const left = Math.max(gap, Math.min(spot.left, window.innerWidth - pop.offsetWidth - 2 * gap));
    pop.style.position = "fixed";
    pop.style.top = `${top}px`;
    pop.style.left = `${left}px`;
  }
}
