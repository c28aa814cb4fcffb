// Deleting: asked first, done on disk, and taken back by storing again what was kept in this tab.

import { pictureAddress, send, sendForJson } from "./api.js";
import { byId, count } from "./elements.js";
import { toast } from "./notice.js";

const listeners = [];

/** Calls back with the ids that are gone or back; null stands for more than are known. */
export function onGalleryChange(listener) {
  listeners.push(listener);
}

/** Tells all who show items that some of them have changed. */
export function galleryChanged(ids = null) {
  listeners.forEach((listener) => listener(ids));
}

/** Asks, then deletes these items; resolves to whether they are gone. They can be put back. */
export async function deleteItems(ids) {
  const what = ids.length === 1 ? ids[0] : `${count(ids.length)} pictures`;
  const confirmed = await confirm({ title: `Delete ${what}?`, text: "It goes from the disk and from all results at once. You can undo this for a short while." });
  if (!confirmed) return false;
  try {
    const kept = await Promise.all(ids.map(keep));
    await remove(ids);
    toast(`${what} deleted`, () => putBack(kept, what));
    galleryChanged(ids);
    return true;
  } catch (problem) {
    toast(`Not deleted: ${problem.message}`);
    return false;
  }
}

/** Asks for the number, then deletes all items that a filter finds. This cannot be undone. */
export async function deleteMatching(filter, number) {
  const confirmed = await confirm({
    title: `Delete all ${count(number)} pictures that meet the filter?`,
    text: "They go from the disk and from all results. This cannot be undone.",
    check: String(number),
  });
  if (!confirmed) return;
  try {
    await send("/v1/items:delete", { method: "POST", json: { filter } });
    toast(`${count(number)} pictures deleted`);
  } catch (problem) {
    toast(`Not deleted: ${problem.message}`);
  }
  galleryChanged();
}

async function remove(ids) {
  if (ids.length === 1) await send(`/v1/items/${encodeURIComponent(ids[0])}`, { method: "DELETE" });
  else await send("/v1/items:delete", { method: "POST", json: { ids } });
}

/** Picture and metadata of an item, to store it again. */
async function keep(id) {
  const [{ metadata }, picture] = await Promise.all([
    sendForJson(`/v1/items/${encodeURIComponent(id)}`),
    send(pictureAddress(id)).then((response) => response.blob()),
  ]);
  return { id, metadata, picture };
}

async function putBack(kept, what) {
  try {
    for (const item of kept) await store(item);
    toast(`${what} put back`);
  } catch (problem) {
    toast(`Not put back: ${problem.message}`, () => putBack(kept, what));
  }
  galleryChanged(kept.map(({ id }) => id));
}

/** Stores a picture with metadata under an id. */
export async function store({ id, metadata, picture }, options = {}) {
  const form = new FormData();
  form.append("item", new Blob([JSON.stringify({ metadata })], { type: "application/json" }));
  form.append("image", picture, "picture");
  return sendForJson(`/v1/items/${encodeURIComponent(id)}`, { method: "PUT", body: form, ...options });
}

/** Resolves to whether the person agreed; with `check`, only after writing it. */
function confirm({ title, text, check = null }) {
  const [dialog, form, input] = [byId("confirm"), byId("confirm-form"), byId("confirm-input")];
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-check").hidden = check === null;
  byId("confirm-words").textContent = `Write ${check} to go on`;
  input.value = "";
  byId("confirm-accept").disabled = check !== null;
  input.oninput = () => { byId("confirm-accept").disabled = input.value.trim() !== check; };
  // Each question has handlers of its own; the event "close" comes late enough to be taken for that of the next one.
  const answered = new Promise((resolve) => {
    const answer = (agreed) => { dialog.close(); resolve(agreed); };
    byId("confirm-cancel").onclick = () => answer(false);
    dialog.oncancel = () => resolve(false);
    form.onsubmit = (event) => {
      event.preventDefault();
      if (check === null || input.value.trim() === check) answer(true);
    };
  });
  dialog.showModal();
  byId("confirm-cancel").focus();
  return answered;
}
