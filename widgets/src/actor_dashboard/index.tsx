import type { AnyWidget } from "@anywidget/types";
import { render } from "preact";
import "../shared/theme.css";
import "./actor_dashboard.css";
import { Board } from "./board.tsx";
import { BoardStore } from "./store.ts";

/** Called once per model: its views share one store. */
const widget: AnyWidget = () => {
  let store: BoardStore;
  return {
    initialize({ model }) {
      store = new BoardStore(model);
      return () => store.connection.dispose();
    },
    render({ el }) {
      el.classList.add("arn-root");
      const detach = store.connection.attach();
      render(<Board store={store} />, el);
      return () => {
        detach();
        render(null, el);
      };
    },
  };
};

export default widget;
