/** What can be done with a block of code: copy it, put it into a cell. */

import { copyButton } from "./copy.ts";
import { cellMaker } from "./notebook_cells.ts";

const SHOWN_FOR = 1_500;

/** The buttons for a block inside `parent`; `text` gives its code when one is pressed. */
export function codeActions(parent: Element, text: () => string): HTMLElement {
  const actions = document.createElement("span");
  actions.className = "arn-code-actions";
  const insert = cellMaker(parent);
  if (insert) actions.append(insertButton(insert, text));
  actions.append(copyButton("Copy code", text));
  return actions;
}

function insertButton(
  insert: (code: string) => boolean,
  text: () => string,
): HTMLButtonElement {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "arn-copy";
  button.textContent = "Insert below";
  button.dataset.testid = "insert-below";
  button.setAttribute("aria-label", "Insert code into a new cell below");
  button.addEventListener("click", () => {
    button.textContent = insert(text()) ? "Inserted" : "Not possible";
    setTimeout(() => {
      button.textContent = "Insert below";
    }, SHOWN_FOR);
  });
  return button;
}
