// Passkeys: asks the browser for one, or has it make one, and sends its answer with the form. Without this file codes and passwords work.
const SAID = {
  NotAllowedError: "The passkey was not used. Try again, or go another way.",
  InvalidStateError: "This device has a passkey for you already.",
  SecurityError: "Passkeys do not work at this address.",
};

export function preparePasskeys() {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const button = form.querySelector("[data-passkey-go]");
    if (!window.PublicKeyCredential) {
      for (const part of form.querySelectorAll("[data-passkey-part]")) part.hidden = true;
      if (form.hasAttribute("data-passkey-part")) form.hidden = true;
    } else {
      button?.addEventListener("click", () => go(form, button));
    }
  }
}

async function go(form, button) {
  say(form, "");
  button.disabled = true;
  try {
    const answer = await fetch(form.dataset.passkey, { headers: { accept: "application/json" } });
    if (!answer.ok || answer.redirected) throw new Error("gone");
    const made = form.elements.made;
    const options = await answer.json();
    const found = made
      ? await navigator.credentials.create({ publicKey: read(options) })
      : await navigator.credentials.get({ publicKey: read(options) });
    (made ?? form.elements.proof_passkey).value = JSON.stringify(written(found));
    form.submit();
  } catch (error) {
    button.disabled = false;
    say(form, SAID[error.name] ?? "That did not work. Load the page again, or go another way.");
  }
}

function say(form, words) {
  const place = form.querySelector("[data-passkey-said]");
  place.textContent = words;
  place.hidden = !words;
}

function read(options) {
  const known = (list) => list?.map((one) => ({ ...one, id: bytes(one.id) }));
  return {
    ...options,
    challenge: bytes(options.challenge),
    ...(options.user && { user: { ...options.user, id: bytes(options.user.id) } }),
    allowCredentials: known(options.allowCredentials),
    excludeCredentials: known(options.excludeCredentials),
  };
}

function written(found) {
  const names = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  const response = Object.fromEntries(names.filter((name) => found.response[name]).map((name) => [name, text(found.response[name])]));
  if (found.response.getTransports) response.transports = found.response.getTransports();
  return { id: found.id, rawId: text(found.rawId), type: found.type, response, clientExtensionResults: found.getClientExtensionResults() };
}

function bytes(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}

function text(buffer) {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
