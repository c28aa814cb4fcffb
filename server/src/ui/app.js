// Entry of the page: connects what the user does with the search, and keeps the robustness panel up to date.

import { byId } from "./elements.js";
import { refresh } from "./robustness.js";
import { searchByPicture } from "./search.js";

const REFRESH_MILLISECONDS = 4000;

const dropzone = byId("dropzone");
const input = byId("picture");

input.addEventListener("change", () => { if (input.files.length > 0) searchByPicture(input.files[0]); input.value = ""; });
dropzone.addEventListener("submit", (event) => event.preventDefault());
dropzone.addEventListener("click", (event) => { if (!event.target.closest("label, input")) input.click(); });

// The whole window takes a drop: a picture let go beside the zone must not replace the page.
let entered = 0;
window.addEventListener("dragenter", () => { entered += 1; dropzone.classList.add("over"); });
window.addEventListener("dragleave", () => { entered -= 1; if (entered <= 0) endDrag(); });
window.addEventListener("dragover", (event) => event.preventDefault());
window.addEventListener("drop", (event) => {
  event.preventDefault();
  endDrag();
  takePicture(event.dataTransfer);
});
window.addEventListener("paste", (event) => takePicture(event.clipboardData));

function endDrag() {
  entered = 0;
  dropzone.classList.remove("over");
}

function takePicture(transfer) {
  const file = [...(transfer?.files ?? [])][0];
  if (file) searchByPicture(file);
}

async function keepFresh() {
  if (!document.hidden) await refresh();
  setTimeout(keepFresh, REFRESH_MILLISECONDS);
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
keepFresh();
