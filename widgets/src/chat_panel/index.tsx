import type { AnyWidget } from "@anywidget/types";
import { render } from "preact";
import "../shared/theme.css";
import "./chat_panel.css";
import "./transcript.css";
import "./items.css";
import "./markdown.css";
import { Panel } from "./panel.tsx";
import { ChatStore } from "./store.ts";

/** Called once per model: its views share one store. */
const widget: AnyWidget = () => {
  let store: ChatStore;
  return {
    initialize({ model }) {
      store = new ChatStore(model);
      return () => store.connection.dispose();
    },
    render({ el }) {
      el.classList.add("arn-root");
      const detach = store.connection.attach();
      render(<Panel store={store} />, el);
      return () => {
        detach();
        render(null, el);
      };
    },
  };
};

export default widget;
