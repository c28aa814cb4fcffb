// Entry of the page: its parts, and what the whole window takes: dropped and pasted pictures.

import * as adding from "./add.js";
import { byId } from "./elements.js";
import { startFilterBar } from "./filterbar.js";
import * as gallery from "./gallery.js";
import { onKeyChange, startKeyDialog } from "./key.js";
import { addPage, currentPage, open, startPages } from "./pages.js";
import { refresh as refreshRobustness } from "./robustness.js";
import * as search from "./search.js";
import * as server from "./server.js";

const REFRESH_MILLISECONDS = 4000;

addPage("search", { title: "Search", heading: "search-title", enter: search.enter });
addPage("gallery", { title: "Gallery", heading: "gallery-title", enter: gallery.enter });
addPage("add", { title: "Add", heading: "add-title", enter: adding.enter });
addPage("robustness", { title: "Robustness", heading: "robustness-title" });
addPage("server", { title: "Server", heading: "server-title", enter: server.enter });

startKeyDialog();
startFilterBar();
search.startSearch();
gallery.startGallery();
adding.startAdding();
startPages();

const input = byId("picture");
input.addEventListener("change", () => { if (input.files.length > 0) search.searchByPicture(input.files[0]); input.value = ""; });
byId("dropzone").addEventListener("submit", (event) => event.preventDefault());
for (const [zone, field] of [[byId("dropzone"), input], [byId("add-zone"), byId("files")]]) {
  zone.addEventListener("click", (event) => { if (!event.target.closest("label, input")) field.click(); });
}

// The whole window takes a drop: a picture let go beside the zone must not replace the page.
let entered = 0;
window.addEventListener("dragenter", (event) => {
  entered += 1;
  if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
  byId("drop-words").textContent = currentPage().name === "add" ? "Drop to add" : "Drop to search";
  byId("drop-veil").hidden = false;
});
window.addEventListener("dragleave", () => { entered -= 1; if (entered <= 0) endDrag(); });
window.addEventListener("dragover", (event) => event.preventDefault());
window.addEventListener("drop", (event) => {
  event.preventDefault();
  endDrag();
  take(event.dataTransfer);
});
window.addEventListener("paste", (event) => take(event.clipboardData));

function endDrag() {
  entered = 0;
  byId("drop-veil").hidden = true;
}

function take(transfer) {
  const files = [...(transfer?.files ?? [])];
  if (files.length === 0 || document.querySelector("dialog[open]")) return;
  if (currentPage().name === "add") adding.addFiles(files);
  else search.searchByPicture(files[0]);
}

// Another key may see what this one did not.
onKeyChange(() => { const { name, parameters } = currentPage(); open(name, Object.fromEntries(parameters)); refreshAll(); });

async function refreshAll() {
  await Promise.all([server.refreshStatus(), refreshRobustness()]);
}

async function keepFresh() {
  if (!document.hidden) await refreshAll();
  setTimeout(keepFresh, REFRESH_MILLISECONDS);
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) refreshAll(); });
keepFresh();
