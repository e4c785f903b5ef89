/**
 * Following a numbered log: a picture, brought up to date by batches of changes.
 *
 * A front end starts from a snapshot at any time and must end up with the kernel's
 * picture whatever is lost or repeated between: a batch that is contained already is
 * left out, and a gap asks for a new snapshot.
 */

export interface Picture {
  seq: number;
}

export interface Batch<C> {
  seq: number;
  changes: C[];
}

export type Received<S> =
  | { kind: "applied"; picture: S }
  | { kind: "known" }
  | { kind: "gap" };

export function receive<S extends Picture, C>(
  picture: S,
  batch: Batch<C>,
  reduce: (picture: S, change: C) => S,
): Received<S> {
  if (batch.seq <= picture.seq) return { kind: "known" };
  if (batch.seq !== picture.seq + 1) return { kind: "gap" };
  const changed = batch.changes.reduce(reduce, picture);
  return { kind: "applied", picture: { ...changed, seq: batch.seq } };
}
