import { useEffect, useId } from "preact/hooks";
import { count, duration, elapsed, pathEnd } from "../shared/format.ts";
import { memo } from "../shared/memo.tsx";
import { type BoardSummary as Figures, type Row, sparkline } from "./model.ts";
import type { BoardStore } from "./store.ts";

const SPARK = { width: 54, height: 16 };
const BLOCKED_LAG = 0.5;

export function Board({ store }: { store: BoardStore }) {
  const heading = useId();
  const { rows, hidden, head } = store.connection.picture.value;
  useTicking(store);
  return (
    <section
      class="arn arn-board"
      data-testid="actor-dashboard"
      data-phase={head.phase}
      data-link={store.connection.link.value}
      data-lm-suppress-shortcuts="true"
      aria-labelledby={heading}
    >
      <BoardHeader store={store} heading={heading} />
      <BoardBanner store={store} />
      {rows.length === 0 ? (
        <p class="arn-board-empty">
          {head.phase === "loading" ? "Looking…" : "No actors yet: send one a message."}
        </p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling box needs the keys
        <section class="arn-board-scroll" tabIndex={0} aria-label="All actors">
          <table class="arn-board-table" data-testid="actors">
            <thead>
              <tr>
                <th scope="col">Actor</th>
                <th scope="col">State</th>
                <th scope="col" class="arn-doing-column">
                  Doing now
                </th>
                <th scope="col" class="arn-number">
                  Turn
                </th>
                <th scope="col" class="arn-number">
                  Mailbox
                </th>
                <th scope="col" class="arn-latency-column">
                  Latency
                </th>
                <th scope="col">Last</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <ActorRow
                  key={row.id}
                  row={row}
                  now={row.since === null ? 0 : store.now.value}
                />
              ))}
            </tbody>
          </table>
        </section>
      )}
      {hidden > 0 && (
        <p class="arn-board-more" data-testid="hidden-actors">
          and {count(hidden, "more actor")}
        </p>
      )}
    </section>
  );
}

function useTicking(store: BoardStore) {
  const running = store.connection.picture.value.rows.some((row) => row.since !== null);
  useEffect(() => {
    if (!running) return;
    store.tick();
    const timer = setInterval(() => store.tick(), 1000);
    return () => clearInterval(timer);
  }, [running, store]);
}

function BoardHeader({ store, heading }: { store: BoardStore; heading: string }) {
  const { title, rows, hidden, head } = store.connection.picture.value;
  const running = rows.filter((row) => row.activity === "running").length;
  const queued = rows.reduce((sum, row) => sum + row.waiting, 0);
  const lag = head.loop_lag ?? 0;
  return (
    <header class="arn-board-head">
      <h2 id={heading}>{title}</h2>
      <ul class="arn-figures">
        <Figure id="figure-actors" text={count(rows.length + hidden, "actor")} />
        <Figure
          id="figure-running"
          text={`${running} running`}
          tone={running ? "busy" : ""}
        />
        {queued > 0 && <Figure id="figure-queued" text={`${queued} queued`} />}
        {head.loop_lag !== undefined && (
          <Figure
            id="figure-lag"
            text={`loop lag ${duration(lag)}`}
            tone={lag > BLOCKED_LAG ? "attention" : ""}
          />
        )}
        {head.storage && (
          <Figure
            id="figure-storage"
            text={pathEnd(head.storage)}
            title={head.storage}
          />
        )}
      </ul>
    </header>
  );
}

interface FigureProps {
  id: string;
  text: string;
  title?: string;
  tone?: string;
}

function Figure({ id, text, title = text, tone = "" }: FigureProps) {
  return (
    <li class="arn-figure" data-tone={tone} data-testid={id} title={title}>
      {tone && <span class="arn-dot" aria-hidden="true" />}
      <span class="arn-figure-text">{text}</span>
    </li>
  );
}

function trouble(head: Figures): string | undefined {
  if (head.phase === "stopped") {
    return "This runtime was stopped. Run the start cell, then this one, to go on.";
  }
  return head.phase === "offline" || head.status === "degraded" ? head.detail : "";
}

function BoardBanner({ store }: { store: BoardStore }) {
  const { head } = store.connection.picture.value;
  const text = {
    gone: "No kernel is connected: this is what was known last. Run the start cell, then this one.",
    silent: "The kernel does not answer at the moment; a cell may be running.",
    live: trouble(head),
    connecting: "",
  }[store.connection.link.value];
  if (!text) return null;
  return (
    <p class="arn-banner" data-tone="warning" role="status" data-testid="banner">
      {text}
    </p>
  );
}

const TONES = {
  running: "busy",
  waiting: "waiting",
  idle: "ready",
  stored: "off",
  quarantined: "failed",
} as const;

const ActorRow = memo(({ row, now }: { row: Row; now: number }) => {
  const latest = row.latencies.at(-1);
  const failed = row.last_status === "failed";
  return (
    <tr data-testid="actor" data-actor={row.id} data-activity={row.activity}>
      <th scope="row" class="arn-actor" title={row.id}>
        <div class="arn-actor-line">
          <span class="arn-actor-type">{row.type}</span>
          <span class="arn-actor-name">{row.conversation}</span>
        </div>
      </th>
      <td data-testid="state">
        <span class="arn-state" data-tone={TONES[row.activity]}>
          <span class="arn-dot" aria-hidden="true" />
          {row.activity}
        </span>
      </td>
      <td class="arn-doing" data-testid="doing" title={row.doing}>
        <div class="arn-doing-line">
          {row.since !== null && (
            <span class="arn-elapsed">{elapsed(now - row.since)}</span>
          )}
          {/* The end is what is new, so the beginning is cut off. */}
          <span class="arn-doing-text">
            <span>{row.doing}</span>
          </span>
        </div>
      </td>
      <td class="arn-number" data-testid="turns">
        {row.turns ?? ""}
      </td>
      <td class="arn-number" data-testid="mailbox" data-empty={row.waiting === 0}>
        {row.waiting}
      </td>
      <td class="arn-latency" data-testid="latency">
        <Sparkline values={row.latencies} />
        <span class="arn-latency-text">
          {latest === undefined ? "" : duration(latest)}
        </span>
      </td>
      <td class="arn-last" data-failed={failed} data-testid="last-status">
        {row.last_status ?? ""}
        {failed && row.error_type && (
          <span class="arn-error-type">{row.error_type}</span>
        )}
      </td>
    </tr>
  );
});

function Sparkline({ values }: { values: number[] }) {
  const { width, height } = SPARK;
  const points = sparkline(values, width, height);
  const end = points.split(" ").at(-1)?.split(",");
  return (
    <svg class="arn-spark" width={width} height={height} aria-hidden="true">
      {points && <polyline points={points} />}
      {points && end && <circle cx={end[0]} cy={end[1]} r="1.8" />}
    </svg>
  );
}
