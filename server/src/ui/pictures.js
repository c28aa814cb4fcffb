// Pictures of items. An image element cannot send an API key, so with a key they are fetched.

import { apiKey, pictureAddress, send } from "./api.js";
import { element } from "./elements.js";

const SMALL_PICTURE = 96; // pixels; smaller ones are enlarged without blurring

/** An image of an item, with its longer side at most `size` pixels. */
export function itemPicture(id, size, attributes = {}) {
  const image = element("img", { alt: "", ...attributes });
  image.addEventListener("load", () => sharpenIfSmall(image));
  load(image, pictureAddress(id, size));
  return image;
}

/** Puts the picture at an address of this server, or of a local file, into an image. */
export function load(image, address) {
  if (!apiKey() || address.startsWith("blob:")) {
    image.src = address;
    return;
  }
  send(address, { quiet: true }).then((response) => response.blob()).then((picture) => {
    const local = URL.createObjectURL(picture);
    image.addEventListener("load", () => URL.revokeObjectURL(local), { once: true });
    image.src = local;
  }).catch(() => image.classList.add("missing"));
}

/** Enlarges pixels without blurring where there are few of them. */
export function sharpenIfSmall(image) {
  image.classList.toggle("small-picture", image.naturalWidth > 0 && image.naturalWidth < SMALL_PICTURE);
}
