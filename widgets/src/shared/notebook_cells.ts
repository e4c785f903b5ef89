/** New cells in the notebook around a panel, where its front end lets widgets see it. */

import type { AnyModel } from "@anywidget/types";

interface NewCell {
  cell_type: "code";
  source: string;
  metadata: Record<string, never>;
  outputs: [];
}

interface SharedNotebook {
  insertCell(index: number, cell: NewCell): unknown;
}

/** By the views' elements: code blocks are made outside of the component tree. */
const notebooks = new WeakMap<Element, SharedNotebook>();

/** Note which notebook a view stands in: JupyterLab and Notebook 7 tell their widgets. */
export function registerNotebook(view: Element, model: AnyModel): void {
  const manager = model.widget_manager as unknown as {
    context?: { model?: { sharedModel?: SharedNotebook } };
  };
  const notebook = manager?.context?.model?.sharedModel;
  if (typeof notebook?.insertCell === "function") notebooks.set(view, notebook);
}

/**
 * Puts code into a new cell below the one that a node stands in, and says whether it
 * could; null where the notebook is not known.
 */
export function cellInserter(node: Element): ((code: string) => boolean) | null {
  const view = node.closest(".arn-root");
  const notebook = view ? notebooks.get(view) : undefined;
  if (!notebook) return null;
  return (code) => {
    const place = cellIndex(node);
    if (place === null) return false;
    const source = code.replace(/\n$/, "");
    const rest = { metadata: {}, outputs: [] } satisfies Partial<NewCell>;
    notebook.insertCell(place + 1, { cell_type: "code", source, ...rest });
    return true;
  };
}

/** Of the cell around a node. A notebook may hold only the cells that are in sight. */
function cellIndex(node: Element): number | null {
  const cell = node.closest<HTMLElement>(".jp-Notebook-cell");
  if (!cell) return null;
  const noted = Number(cell.dataset.windowedListIndex);
  if (Number.isInteger(noted)) return noted;
  const cells = cell.closest(".jp-Notebook")?.querySelectorAll(".jp-Notebook-cell");
  return cells ? [...cells].indexOf(cell) : null;
}
