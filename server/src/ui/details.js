// Everything about one item, in a dialogue.

import { sendForJson } from "./api.js";
import { deleteItems } from "./deletion.js";
import { byId, bytes, element, time } from "./elements.js";
import { addCondition } from "./filterbar.js";
import { remember, written } from "./metadata.js";
import { showProblem } from "./notice.js";
import { currentPage, open } from "./pages.js";
import { itemPicture } from "./pictures.js";

/** Opens the details of an item. */
export async function openDetails(id) {
  const rest = element("p", { class: "hint" }, "Loading");
  byId("details").replaceChildren(head(id), rest);
  byId("details").showModal();
  try {
    const item = await sendForJson(`/v1/items/${encodeURIComponent(id)}`);
    remember(item.metadata);
    rest.replaceWith(body(item), buttons(id));
  } catch (problem) {
    const notice = element("div", { class: "notice", role: "alert" });
    rest.replaceWith(notice);
    showProblem(notice, problem);
  }
}

const close = () => byId("details").close();

function head(id) {
  return element("div", { class: "dialog-head" },
    element("h2", { id: "details-title" }, id),
    element("button", { class: "quiet icon", type: "button", "aria-label": "Close", onclick: close }, "×"));
}

function body({ id, metadata, picture, revision, updated }) {
  const entries = Object.entries(metadata);
  return element("div", { class: "details-body" },
    element("div", { class: "details-picture" }, itemPicture(id, 640, { alt: `Picture of ${id}` })),
    element("div", { class: "details-facts" },
      element("h3", {}, "Metadata"),
      entries.length > 0
        ? element("dl", { class: "table" }, entries.map(([key, value]) => row(key, values(key, value))))
        : element("p", { class: "hint" }, "None"),
      element("h3", {}, "Picture"),
      element("dl", { class: "table" },
        row("Size", `${picture.width} × ${picture.height} pixels, ${bytes(picture.bytes)}`),
        row("Type", picture.content_type),
        row("SHA-256", element("code", {}, picture.sha256)),
        row("Stored", `${time(updated)}, revision ${revision}`))));
}

const row = (name, ...value) => element("div", {}, element("dt", {}, name), element("dd", {}, value));

/** Each value is a button that filters by it. */
function values(key, value) {
  return [value].flat().map((single) => element("button", {
    class: "value", type: "button", title: `Only ${key} = ${written(single)}`, "aria-label": `Filter: ${key} is ${written(single)}`,
    onclick: () => {
      close();
      addCondition({ group: "must", key, kind: "match", value: single });
      if (!["search", "gallery"].includes(currentPage().name)) open("gallery");
    },
  }, written(single)));
}

function buttons(id) {
  return element("div", { class: "dialog-buttons" },
    element("button", { class: "danger-text quiet", type: "button", onclick: async () => { if (await deleteItems([id])) close(); } }, "Delete"),
    element("button", { class: "primary", type: "button", onclick: () => { close(); open("search", { like: id }); } }, "More like this"));
}
