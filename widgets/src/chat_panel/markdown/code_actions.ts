/** What can be done with a block of code: copy it, put it into a cell. */

import { copyText } from "../../shared/clipboard.ts";
import { cellInserter } from "../../shared/notebook_cells.ts";

const SHOWN_FOR = 1_500;

interface Action {
  /** What stands on the button. */
  text: string;
  label: string;
  testid: string;
  /** Whether it was possible. */
  act: () => boolean | Promise<boolean>;
  /** What stands on the button for a while, then. */
  done: string;
}

/** The buttons for a block inside `parent`; `text` gives its code when one is pressed. */
export function codeActions(parent: Element, text: () => string): HTMLElement {
  const actions = document.createElement("span");
  actions.className = "arn-code-actions";
  const insert = cellInserter(parent);
  if (insert) {
    const act = () => insert(text());
    const label = "Insert code into a new cell below";
    const testid = "insert-below";
    actions.append(
      button({ text: "Insert below", label, testid, act, done: "Inserted" }),
    );
  }
  const act = () => copyText(text());
  const label = "Copy code";
  actions.append(
    button({ text: "Copy", label, testid: "copy-code", act, done: "Copied" }),
  );
  return actions;
}

/** Outside of the component tree, as Markdown makes its nodes by itself. */
function button({ text, label, testid, act, done }: Action): HTMLButtonElement {
  const made = document.createElement("button");
  Object.assign(made, { type: "button", className: "arn-copy", textContent: text });
  made.setAttribute("aria-label", label);
  made.dataset.testid = testid;
  made.addEventListener("click", async () => {
    made.textContent = (await act()) ? done : "Not possible";
    setTimeout(() => {
      made.textContent = text;
    }, SHOWN_FOR);
  });
  return made;
}
