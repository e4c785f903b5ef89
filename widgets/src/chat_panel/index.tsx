import type { AnyWidget } from "@anywidget/types";
import { render } from "preact";
import { LazyModules } from "../shared/lazy_modules.ts";
import "../shared/theme.css";
// In the order in which they may override each other.
import "./chat_panel.css";
import "./menu/menu.css";
import "./composer/composer.css";
import "./transcript/transcript.css";
import "./transcript/turns.css";
import "./items/items.css";
import "./items/approval.css";
import "./markdown/markdown.css";
import { LazyModulesContext } from "../shared/lazy_context.ts";
import { registerNotebook } from "../shared/notebook_cells.ts";
import { Panel } from "./panel.tsx";
import { hideSavedCopies, syncSavedCopies } from "./saved_copy.ts";
import { ChatStore } from "./store/chat_store.ts";

/** Called once per model: its views share one store. */
const widget: AnyWidget = () => {
  let store: ChatStore;
  let modules: LazyModules;
  return {
    initialize({ model }) {
      store = new ChatStore(model);
      modules = new LazyModules(model);
      const endCopies = syncSavedCopies(model);
      return () => {
        endCopies();
        modules.dispose();
        store.dispose();
      };
    },
    render({ model, el }) {
      el.classList.add("arn-root");
      registerNotebook(el, model);
      const detach = store.connection.attach();
      render(
        <LazyModulesContext.Provider value={modules}>
          <Panel store={store} />
        </LazyModulesContext.Provider>,
        el,
      );
      hideSavedCopies(model, el);
      return () => {
        detach();
        render(null, el);
      };
    },
  };
};

export default widget;
