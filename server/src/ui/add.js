// Adding pictures: files in a list, with an id each and a label and metadata for all; stored a few at a time.

import { Problem, send } from "./api.js";
import { galleryChanged, store } from "./deletion.js";
import { byId, count, element, sentence } from "./elements.js";
import { seenKeys, seenValues, valueOf } from "./metadata.js";
import { announce, clear, showProblem, toast } from "./notice.js";
import { sharpenIfSmall } from "./pictures.js";

const AT_ONCE = 3;
const MAX_ID = 128;
const STATES = { waiting: "Waiting", storing: "Storing", busy: "Server is busy, trying again", stored: "Stored", refused: "Refused" };

let uploads = []; // {file, id, state, reason, row}
let working = false;

/** Opens the page. */
export function enter() {
  byId("known-labels").replaceChildren(...seenValues("label").map((value) => element("option", { value })));
}

/** Puts files into the list. */
export function addFiles(files) {
  const added = [...files].map((file) => ({ file, id: freeId(file.name), state: "waiting", reason: "" }));
  for (const upload of added) {
    upload.row = row(upload);
    uploads.push(upload);
    byId("uploads").append(upload.row);
  }
  describe();
  announce(`${count(added.length)} pictures in the list`);
}

/** Connects the page with its form. */
export function startAdding() {
  byId("files").addEventListener("change", (event) => { addFiles(event.target.files); event.target.value = ""; });
  byId("add-row").addEventListener("click", addMetadataRow);
  byId("add-clear").addEventListener("click", () => { uploads = []; byId("uploads").replaceChildren(); describe(); byId("files").focus(); });
  byId("add-prefix").addEventListener("input", rename);
  byId("add-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!working) storeAll();
  });
}

/** Ids are 1 to 128 of A-Z a-z 0-9 . _ : - */
const safe = (text) => text.replace(/[^A-Za-z0-9._:-]/g, "-").slice(0, MAX_ID);

function freeId(fileName) {
  const stem = safe(byId("add-prefix").value + fileName.replace(/\.[^.]*$/, "")) || "picture";
  const taken = new Set(uploads.map((upload) => upload.id));
  let id = stem;
  for (let number = 2; taken.has(id); number += 1) id = `${stem.slice(0, MAX_ID - 8)}.${number}`;
  return id;
}

function rename() {
  for (const upload of uploads.filter(({ state }) => state !== "stored")) {
    upload.id = "";
    upload.id = freeId(upload.file.name);
    upload.row.querySelector(".upload-id").value = upload.id;
  }
}

function row(upload) {
  const address = URL.createObjectURL(upload.file);
  const preview = element("img", { alt: "", src: address });
  preview.addEventListener("load", () => { sharpenIfSmall(preview); URL.revokeObjectURL(address); });
  preview.addEventListener("error", () => { preview.hidden = true; });
  return element("li", { class: "upload", "data-state": upload.state },
    element("span", { class: "upload-picture" }, preview),
    element("label", { class: "field" }, `Id of ${upload.file.name}`,
      element("input", { class: "upload-id", type: "text", value: upload.id, required: true, maxlength: MAX_ID, pattern: "[A-Za-z0-9._:\\-]+", title: "1 to 128 of A-Z a-z 0-9 . _ : -", autocomplete: "off", oninput: (event) => { upload.id = event.target.value; } })),
    element("span", { class: "upload-state" }, STATES[upload.state]),
    element("button", { class: "quiet icon", type: "button", "aria-label": `Leave ${upload.file.name} out`, onclick: () => leaveOut(upload) }, "×"));
}

function leaveOut(upload) {
  uploads = uploads.filter((other) => other !== upload);
  upload.row.remove();
  describe();
  byId("files").focus();
}

function setState(upload, state, reason = "") {
  Object.assign(upload, { state, reason });
  upload.row.dataset.state = state;
  upload.row.querySelector(".upload-state").textContent = reason ? `${STATES[state]}: ${reason}` : STATES[state];
  upload.row.querySelector(".upload-id").disabled = state === "stored" || state === "storing";
}

function describe() {
  const waiting = uploads.filter(({ state }) => state !== "stored").length;
  byId("add-tools").hidden = uploads.length === 0;
  byId("add-submit").disabled = waiting === 0 || working;
  byId("add-submit").textContent = working ? "Storing" : `Add ${count(waiting)} ${waiting === 1 ? "picture" : "pictures"}`;
}

function addMetadataRow() {
  const keys = `keys-${byId("add-rows").children.length}`;
  const line = element("li", { class: "add-row" },
    element("label", { class: "field" }, "Key", element("input", { class: "add-key", type: "text", required: true, autocomplete: "off", list: keys })),
    element("datalist", { id: keys }, seenKeys().filter((key) => key !== "label").map((value) => element("option", { value }))),
    element("label", { class: "field" }, "Value", element("input", { class: "add-value", type: "text", required: true, autocomplete: "off" })),
    element("button", { class: "quiet icon", type: "button", "aria-label": "Remove this key", onclick: () => { line.remove(); byId("add-row").focus(); } }, "×"));
  byId("add-rows").append(line);
  line.querySelector("input").focus();
}

function metadata() {
  const label = byId("add-label").value.trim();
  const entries = [...byId("add-rows").children].map((line) => {
    const key = line.querySelector(".add-key").value.trim();
    return [key, valueOf(key, line.querySelector(".add-value").value)];
  });
  return Object.fromEntries([...(label ? [["label", label]] : []), ...entries]);
}

async function storeAll() {
  working = true;
  clear(byId("add-notice"));
  const queue = uploads.filter(({ state }) => state !== "stored");
  describe();
  const common = { metadata: metadata(), replace: byId("add-replace").checked };
  const work = async () => { for (let upload = queue.shift(); upload; upload = queue.shift()) await storeOne(upload, common); };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } catch (problem) {
    showProblem(byId("add-notice"), problem);
  }
  working = false;
  describe();
  report();
}

async function storeOne(upload, { metadata: values, replace }) {
  setState(upload, "storing");
  try {
    if (!replace && await isTaken(upload.id)) {
      setState(upload, "refused", "an item has this id already; change it, or tick Replace");
      return;
    }
    await store({ id: upload.id, metadata: values, picture: upload.file }, { onWait: () => setState(upload, "busy") });
    setState(upload, "stored");
  } catch (problem) {
    setState(upload, "refused", problem.message);
    // A server that is gone, or refuses everyone, would refuse the rest as well.
    if (problem.status === 0 || problem.status === 401 || problem.status === 403) throw problem;
  }
}

async function isTaken(id) {
  try {
    await send(`/v1/items/${encodeURIComponent(id)}`);
    return true;
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 404) return false;
    throw problem;
  }
}

function report() {
  const number = (state) => uploads.filter((upload) => upload.state === state).length;
  const [stored, refused] = [number("stored"), number("refused")];
  const told = `${count(stored)} stored${refused > 0 ? `, ${count(refused)} refused` : ""}`;
  toast(sentence(told));
  galleryChanged();
}
