/**
 * What the kernel keeps of the conversation in the notebook's outputs, on this side.
 *
 * A live view hides the copy that stands beside it. And where the page was loaded since
 * the cell ran, JupyterLab has forgotten which outputs the kernel means, and drops its
 * updates: then the notebook's outputs are changed from here.
 */

import type { AnyModel } from "@anywidget/types";

/** Updates of outputs come before the message that tells of them, but take effect late. */
const LOOK_AFTER = 1_000;
const VIEW = "application/vnd.jupyter.widget-view+json";

interface Output {
  output_type: string;
  data?: Record<string, unknown>;
  metadata?: { agent_runtime_nb?: { copy?: string; revision?: number } };
}

interface Outputs {
  length: number;
  toJSON(): Output[];
  set(index: number, output: Output): void;
}

interface Saved {
  revision: number;
  frozen: boolean;
  model_id: string;
}

interface SavedData {
  revision: number;
  live?: Record<string, unknown>;
  copy?: Record<string, unknown>;
  metadata?: Output["metadata"];
}

/** Keep the copies in this page's notebook current; returns what ends that. */
export function syncSavedCopies(model: AnyModel): () => void {
  let told: Saved | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = () => {
    timer = undefined;
    if (!told || places(model, told).length === 0) return;
    try {
      model.send({ type: "saved_data" });
    } catch {} // the kernel has gone away, and with it what it wanted to keep
  };
  const take = (message: { type: string }) => {
    if (message.type === "saved") {
      told = message as unknown as Saved;
      timer ??= setTimeout(look, LOOK_AFTER);
    } else if (message.type === "saved_data" && told) {
      const data = message as unknown as SavedData;
      for (const place of places(model, told)) write(place, data);
    }
  };
  model.on("msg:custom", take);
  return () => {
    clearTimeout(timer);
    model.off("msg:custom", take);
  };
}

/** Hide the copies as long as this view is in the page. */
export function hideSavedCopies(model: AnyModel, el: HTMLElement): void {
  const mark = model.get("mark");
  if (typeof mark !== "string" || !/^[\w-]+$/.test(mark)) return;
  const style = document.createElement("style");
  style.textContent = `.jp-OutputArea-child:has(.${mark}), .${mark} { display: none }`;
  el.append(style);
}

interface Place {
  outputs: Outputs;
  index: number;
  output: Output;
  kind: "live" | "copy";
}

/** The outputs of this page's notebook that are behind what the kernel told. */
function places(model: AnyModel, told: Saved): Place[] {
  const mark = model.get("mark");
  const found: Place[] = [];
  for (const outputs of allOutputs(model)) {
    outputs.toJSON().forEach((output, index) => {
      const view = output.data?.[VIEW] as { model_id?: string } | undefined;
      const saved = output.metadata?.agent_runtime_nb;
      if (told.frozen && view?.model_id === told.model_id) {
        found.push({ outputs, index, output, kind: "live" });
      } else if (saved?.copy === mark && (saved?.revision ?? 0) < told.revision) {
        found.push({ outputs, index, output, kind: "copy" });
      }
    });
  }
  return found;
}

function write({ outputs, index, output, kind }: Place, saved: SavedData): void {
  const data = saved[kind];
  if (!data) return;
  const metadata = kind === "copy" ? (saved.metadata ?? {}) : {};
  outputs.set(index, { ...output, data, metadata });
}

/** Of the cells of the notebook, as far as this front end lets a widget see it. */
function allOutputs(model: AnyModel): Outputs[] {
  const manager = model.widget_manager as unknown as {
    context?: { model?: { cells?: Iterable<{ outputs?: Outputs }> } };
  };
  const cells = manager?.context?.model?.cells;
  if (!cells) return [];
  return [...cells].flatMap(({ outputs }) => (outputs ? [outputs] : []));
}
