/** New cells in the notebook around a panel, where its front end lets pages do that. */

interface Commands {
  hasCommand(id: string): boolean;
  execute(id: string, args?: Record<string, unknown>): Promise<unknown>;
}

const INSERT = "notebook:insert-cell-below";
const WRITE = "notebook:replace-selection";

/**
 * Puts code into a new cell below the active one; null where that is not offered.
 *
 * JupyterLab and Notebook 7 give their commands to pages only when they were started
 * with `--expose-app-in-browser`; other front ends never do.
 */
export function cellMaker(): ((code: string) => Promise<void>) | null {
  const { jupyterapp } = globalThis as { jupyterapp?: { commands?: Commands } };
  const commands = jupyterapp?.commands;
  if (!commands?.hasCommand(INSERT) || !commands.hasCommand(WRITE)) return null;
  return async (code) => {
    await commands.execute(INSERT);
    await commands.execute(WRITE, { text: code.replace(/\n$/, "") });
  };
}
