import type { AnyModel } from "@anywidget/types";
import { signal } from "@preact/signals";
import { Connection } from "../shared/connection.ts";
import {
  type BoardChange,
  type BoardPicture,
  EMPTY_BOARD,
  reduceBoard,
} from "./model.ts";

export class BoardStore {
  readonly connection: Connection<BoardPicture, BoardChange>;
  readonly now = signal(Date.now() / 1000);

  constructor(model: AnyModel) {
    this.connection = new Connection<BoardPicture, BoardChange>(model, {
      empty: EMPTY_BOARD,
      reduce: reduceBoard,
    });
  }

  tick(): void {
    this.now.value = Date.now() / 1000 + this.connection.clockOffset;
  }
}
