/** What can be done with a block of code: copy it, put it into a cell. */

import { copyButton } from "./copy.ts";
import { cellMaker } from "./notebook_cells.ts";

/** The buttons for a block; `text` gives its code when one is pressed. */
export function codeActions(text: () => string): HTMLElement {
  const actions = document.createElement("span");
  actions.className = "arn-code-actions";
  const insert = cellMaker();
  if (insert) actions.append(insertButton(insert, text));
  actions.append(copyButton("Copy code", text));
  return actions;
}

function insertButton(
  insert: (code: string) => Promise<void>,
  text: () => string,
): HTMLButtonElement {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "arn-copy";
  button.textContent = "Insert below";
  button.dataset.testid = "insert-below";
  button.setAttribute("aria-label", "Insert code into a new cell below");
  button.addEventListener("click", () => {
    insert(text()).catch(() => {
      button.textContent = "Not possible";
      button.disabled = true;
    });
  });
  return button;
}
