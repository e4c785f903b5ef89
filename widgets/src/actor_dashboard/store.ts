import type { AnyModel } from "@anywidget/types";
import { signal } from "@preact/signals";
import { Connection } from "../shared/connection.ts";
import { type BoardPicture, type Change, EMPTY, reduce } from "./model.ts";

export class BoardStore {
  readonly connection: Connection<BoardPicture, Change>;
  readonly now = signal(Date.now() / 1000);

  constructor(model: AnyModel) {
    this.connection = new Connection<BoardPicture, Change>(model, {
      empty: EMPTY,
      reduce,
    });
  }

  tick(): void {
    this.now.value = Date.now() / 1000 + this.connection.clockOffset;
  }
}
