/** Images of strangers: nothing is loaded before somebody asks for it. */

import { safeImage } from "./safe_urls.ts";

/** A button in whose place the image comes when it is pressed; else only its words. */
export function imageButton(address: string, label: string): Node {
  const source = safeImage(address);
  if (source === null) return document.createTextNode(`[${label}]`);
  const button = document.createElement("button");
  button.type = "button";
  button.className = "arn-image-button";
  button.textContent = `Show image${imageHost(source)}: ${label}`;
  button.addEventListener("click", () => {
    const image = document.createElement("img");
    image.className = "arn-media";
    image.alt = label;
    image.referrerPolicy = "no-referrer";
    image.src = source;
    button.replaceWith(image);
  });
  return button;
}

/** Where it would be loaded from, in words; "" if it is here already. */
export function imageHost(source: string): string {
  return source.startsWith("data:") ? "" : ` from ${new URL(source).host}`;
}
