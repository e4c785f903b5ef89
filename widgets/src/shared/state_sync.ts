/**
 * Following a numbered log: a picture, brought up to date by batches of changes.
 *
 * A front end starts from a snapshot at any time and must end up with the kernel's
 * picture whatever is lost or repeated between: a batch that is contained already is
 * left out, and a gap asks for a new snapshot. A batch with a mere `text` repeats the
 * last change with that text; whoever does not know that change has a gap too.
 */

export interface Picture {
  seq: number;
}

export interface Batch<C> {
  seq: number;
  changes?: C[];
  text?: string;
}

export type BatchOutcome<S, C> =
  | { kind: "applied"; picture: S; last: C | undefined }
  | { kind: "known" }
  | { kind: "gap" };

export function applyBatch<S extends Picture, C>(
  picture: S,
  batch: Batch<C>,
  reduce: (picture: S, change: C) => S,
  last?: C,
): BatchOutcome<S, C> {
  if (batch.seq <= picture.seq) return { kind: "known" };
  if (batch.seq !== picture.seq + 1) return { kind: "gap" };
  const changes = batch.changes ?? (last ? [{ ...last, text: batch.text }] : undefined);
  if (!changes) return { kind: "gap" };
  const changed = changes.reduce(reduce, picture);
  const next = { ...changed, seq: batch.seq };
  return { kind: "applied", picture: next, last: changes.at(-1) };
}
