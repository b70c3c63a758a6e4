// A page that Back brings up again from memory is shown only to who it was for: after signing out it is asked for anew.
export function leaveNothing() {
  window.addEventListener("pageshow", async (event) => {
    if (!event.persisted) return;
    document.documentElement.hidden = true;
    const user = document.getElementById("idle")?.dataset.user ?? "";
    if (await same(user)) document.documentElement.hidden = false;
    else window.location.reload();
  });
}

async function same(user) {
  try {
    const answer = await fetch("/session");
    return answer.ok && (await answer.json()).user === user;
  } catch {
    return false;
  }
}
