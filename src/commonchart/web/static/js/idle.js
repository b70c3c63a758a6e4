// Says two minutes before it that the session ends, and lets one stay. Other tabs count: the server is asked first.
// Without this file the page leaves the screen by itself (the refresh header) when the session has ended.
const WARN = 120_000;
const AGAIN = 10_000;

export function watchIdle() {
  const dialog = document.getElementById("idle");
  if (!dialog?.showModal) return;
  const form = dialog.querySelector("form");
  let ends = Date.now() + Number(dialog.dataset.left) * 1000;
  let asked = 0;
  let gone = false;
  let saidLast = false;

  const left = () => ends - Date.now();

  function told(state) {
    ends = Date.now() + state.left * 1000;
    if (left() > WARN) {
      window.stop(); // the refresh of this page is of before
      close();
    }
  }

  function close() {
    gone = false;
    if (dialog.open) dialog.close();
  }

  function show(part) {
    for (const one of dialog.querySelectorAll("[data-idle]")) one.hidden = one.dataset.idle !== part;
    dialog.classList.toggle("over", part === "over"); // then nothing of the page shows through
    if (!dialog.open) dialog.showModal();
  }

  // The 12 hours cannot be made longer: that is said once, not every ten seconds.
  function warn(last) {
    if (!last) show("soon");
    else if (!saidLast) show("last");
    saidLast ||= last;
  }

  function over() {
    if (dialog.dataset.leaves === "yes") {
      window.location.assign(`/timed-out?next=${encodeURIComponent(window.location.pathname + window.location.search)}`);
      return;
    }
    if (!gone) show("over");
    gone = true;
  }

  // What was typed is not lost: whoever signs in again in another tab, as the same person, may send it from here.
  function again(state) {
    if (gone && state.user === dialog.dataset.user) {
      for (const field of document.querySelectorAll("input[name=csrf]")) field.value = state.csrf;
    }
  }

  async function look() {
    if (left() > WARN || Date.now() - asked < AGAIN) return;
    asked = Date.now();
    try {
      const answer = await fetch("/session");
      if (answer.status === 401) return over();
      const state = await answer.json();
      if (gone && state.user !== dialog.dataset.user) return;
      again(state);
      told(state);
      if (left() <= WARN && !gone) warn(state.last);
    } catch {
      if (left() <= 0) over();
      else show("soon");
    }
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const answer = await fetch("/stay", { method: "POST", body: new URLSearchParams(new FormData(form)) });
      if (!answer.ok || answer.redirected) return over();
      told(await answer.json());
      if (left() <= WARN) warn(true);
    } catch {
      over();
    }
  });
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    if (gone) return;
    if (dialog.querySelector("button[data-idle=soon]").hidden) dialog.close();
    else form.requestSubmit();
  });
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  setInterval(look, 1000);
  document.addEventListener("visibilitychange", look);
  window.addEventListener("focus", look);
}
