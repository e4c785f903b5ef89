/** Formulas as MathML, which the browser draws with a font of its own. */

import temml from "temml";

/**
 * Draw a formula into an element.
 *
 * Raises:
 *   an error of Temml, if the source is no formula; the element is as before.
 */
export function drawFormula(
  element: HTMLElement,
  source: string,
  display: boolean,
): void {
  const box = document.createElement("span");
  temml.render(source, box, {
    displayMode: display,
    throwOnError: true,
    // No links, images, classes, ids or styles out of a formula.
    trust: false,
    maxSize: [20, 100],
    maxExpand: 500,
  });
  for (const node of box.querySelectorAll("*")) {
    for (const { name } of [...node.attributes]) {
      if (/^(on|href|src|xlink|id$|name$)/i.test(name)) node.removeAttribute(name);
    }
  }
  element.replaceChildren(...box.childNodes);
}
