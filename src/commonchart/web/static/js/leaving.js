// A page that Back brings up again from memory is asked for anew: after signing out it shows the door, not the chart.
export function leaveNothing() {
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) window.location.reload();
  });
}

export function preparePrinting() {
  for (const button of document.querySelectorAll("[data-print]")) button.addEventListener("click", () => window.print());
}
