// The API key: asked for when the server wants one, kept in this tab.

import { apiKey, setApiKey, setKeyPrompt } from "./api.js";
import { byId, sentence } from "./elements.js";

const TEXT = "Kept in this tab until it is closed, and sent to this server only.";
const listeners = [];

/** Calls back whenever the key has changed. */
export function onKeyChange(listener) {
  listeners.push(listener);
}

/** Asks for a key; resolves to whether one was given. */
export function openKeyDialog(problem) {
  const dialog = byId("key");
  byId("key-text").textContent = problem ? `${sentence(problem.message)} ${TEXT}` : TEXT;
  byId("key-input").value = "";
  byId("key-forget").hidden = !apiKey();
  dialog.returnValue = "";
  // A dialog that is open already is answered once for both.
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "given"), { once: true });
  });
}

/** Connects the dialogue with the page. */
export function startKeyDialog() {
  setKeyPrompt(openKeyDialog);
  byId("key-open").addEventListener("click", () => openKeyDialog());
  byId("key-cancel").addEventListener("click", () => byId("key").close());
  byId("key-forget").addEventListener("click", () => change(""));
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const key = byId("key-input").value.trim();
    if (key) change(key);
  });
  describe();
}

function change(key) {
  setApiKey(key);
  byId("key").close(key ? "given" : "");
  describe();
  listeners.forEach((listener) => listener());
}

function describe() {
  byId("key-state").textContent = apiKey() ? "A key is in use in this tab." : "No key is in use.";
}
