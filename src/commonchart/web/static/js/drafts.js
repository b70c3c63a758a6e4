// Keeps what is being typed: two seconds after the last change, quietly; the form works without it.

const PAUSE = 2000;

export function keepDrafts() {
  for (const form of document.querySelectorAll("form[data-draft]")) watch(form);
}

function watch(form) {
  let waiting = 0;
  let leaving = false;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => send(form), PAUSE);
  });
  form.addEventListener("submit", () => {
    clearTimeout(waiting);
    leaving = true;
  });
  window.addEventListener("pagehide", () => {
    if (waiting && !leaving) send(form);
  });
}

function send(form) {
  const fields = new URLSearchParams(new FormData(form));
  fields.set("draft_key", form.dataset.draft);
  fetch("/drafts", { method: "POST", body: fields, keepalive: true }).catch(() => {});
}
