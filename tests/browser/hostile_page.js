// Run in an empty page: shows hostile words in the real chat panel, and looks at what
// became of them. `modules` are the texts of the lazy modules by their names.

const FORBIDDEN = new Set(
  `applet area audio base dialog embed form frame frameset iframe input isindex link
  map marquee math-unknown meta noscript object option picture portal script select
  source style template textarea track video`.split(/\s+/),
);
const LOADS = ["src", "srcset", "data", "poster", "background", "srcdoc", "action",
  "formaction", "ping", "xlink:href", "manifest", "codebase", "usemap"];
const IMAGE = /^data:image\/(png|jpeg|gif|webp);base64,/;
const LINK = /^(https?:\/\/|mailto:)/;
// What lets a style leave its place, load, or run.
const STYLE = /position|url\(|image-set|expression|behavior|binding|inset|z-index|@|transform|animation/i;
// The panel's own controls; a payload has no way to their marks.
const OWN = "textarea.arn-input, input[data-testid], input[type=file], textarea[data-testid]";

/** What is wrong with an element; "" if nothing. */
function problemOf(node) {
  const tag = node.localName;
  if (FORBIDDEN.has(tag) && !node.matches(OWN)) return `<${tag}>`;
  if (tag === "img" && !IMAGE.test(node.getAttribute("src") ?? "")) return "image";
  if (tag === "svg" && !node.matches(".arn-icon")) return "foreign <svg>";
  const untrusted = node.closest(".arn-markup, .arn-markdown, [data-frozen]");
  const isRoot = node.matches(".arn-markup, .arn-markdown");
  for (const { name, value } of node.attributes) {
    if (/^on/i.test(name)) return name;
    if (name === "href" && !(tag === "a" && LINK.test(value))) return `href ${value}`;
    if (LOADS.includes(name) && tag !== "img") return `${name} ${value}`;
    if (name === "style" && STYLE.test(value)) return `style ${value}`;
    if (untrusted && !isRoot && /^(id|name|is|slot|accesskey|autofocus)$/.test(name)) {
      return `${name} ${value}`;
    }
  }
  if (untrusted && getComputedStyle(node).position === "fixed") return "fixed";
  return "";
}

function placeOf(node) {
  const place = node.parentElement?.closest("[data-testid], [class^=arn-]");
  return place?.dataset.testid ?? place?.className ?? "the page";
}

function problemsIn(root, name) {
  const problems = [];
  const nodes = root.querySelectorAll("*");
  for (const node of nodes) {
    const problem = problemOf(node);
    const turn = node.closest("[data-turn]")?.dataset.turn;
    if (problem) problems.push(`${name ?? turn ?? "panel"}: ${problem} in ${placeOf(node)}`);
  }
  // Nothing lies over what stands beside.
  const { x, y, width, height } = document.getElementById("beside").getBoundingClientRect();
  const top = document.elementFromPoint(x + width / 2, y + height / 2);
  if (top?.id !== "beside") problems.push(`${name ?? "panel"}: lies over the page`);
  return { problems, seen: nodes.length };
}

const drawn = () => new Promise((done) => requestAnimationFrame(() => done()));

/** Waits until nothing changes in a panel for some frames. */
async function settled(root) {
  let quiet = 0;
  const observer = new MutationObserver(() => { quiet = 0; });
  observer.observe(root, { subtree: true, childList: true, attributes: true });
  while (quiet < 5) {
    quiet += 1;
    await drawn();
  }
  observer.disconnect();
}

class Panel {
  #listeners = [];
  #seq = 1;

  constructor(widget, modules, snapshot) {
    this.root = document.body.appendChild(document.createElement("div"));
    this.model = {
      get: (name) => (name === "snapshot" ? { seq: 1, ...snapshot } : undefined),
      set() {},
      save_changes() {},
      off() {},
      on: (name, listener) => this.#listeners.push([name, listener]),
      send: (message) => {
        if (message.type === "ping") this.say({ type: "pong", seq: this.#seq, now: 1 });
        const text = modules[message.name];
        if (message.type === "module") this.say({ ...message, text });
      },
    };
    const made = widget();
    made.initialize({ model: this.model });
    made.render({ model: this.model, el: this.root });
  }

  say(message) {
    queueMicrotask(() => {
      const heard = this.#listeners.filter(([name]) => name === "msg:custom");
      for (const [, listener] of heard) listener(message);
    });
  }

  change(...changes) {
    this.#seq += 1;
    this.say({ type: "batch", seq: this.#seq, changes });
  }
}

const NAMED = { type_name: "agent", instance_id: "main", title: "Agent", starters: [],
  phase: "live", storage: "memory", turns: [], more: false, name: null, branches: [],
  restored_until: null, read_only: false, allowed_tools: [] };

let bundle;

/** Must be called first: the widget's module, and the lazy ones. */
export async function load(script, modules) {
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  bundle = { widget: (await import(url)).default, modules };
}

const panelOf = (snapshot) =>
  new Panel(bundle.widget, bundle.modules, { ...NAMED, ...snapshot });

/** A panel that shows every turn that comes: it begins with one, and grows. */
async function panelOfAll() {
  const items = [{ kind: "user", text: "Hello", media: [] }];
  const turn = { id: "first", position: -1, status: "completed", items };
  const panel = panelOf({ turns: [turn] });
  await drawn();
  return panel;
}

function itemsOf(text) {
  const call = { id: "c", name: text, arguments: text };
  const json = JSON.stringify({ [text]: text });
  return [
    { kind: "user", text, media: [{ kind: "media", uri: text, media_type: text }] },
    { kind: "text", text },
    { kind: "reasoning", text, duration: 1 },
    { kind: "tool", ...call, result: text, failed: true, duration: 1,
      rich: [{ media_type: "text/html", data: text }, { media_type: text, data: text }] },
    { kind: "tool", id: "d", name: "table", arguments: json, result: json, failed: false,
      rich: [{ media_type: "text/html", data: `<table><tr><td>${text}</td></tr></table>` }] },
    { kind: "approval", ...call, arguments: json, answer: "denied", reason: text },
    { kind: "approval", ...call, answer: null, reason: null },
    { kind: "media", uri: text, media_type: text },
    { kind: "value", text },
    { kind: "notice", level: "error", text },
  ];
}

/** Every payload as a finished turn, in all of its places. */
export async function showFinished(payloads) {
  const panel = await panelOfAll();
  panel.change(
    ...Object.entries(payloads).map(([name, text], position) => ({
      op: "turn",
      turn: { id: name, position, status: "failed", items: itemsOf(text), discarded: false,
        stop: "refused", stop_detail: text,
        error: { type: text, message: text, where: text, retryable: false } },
    })),
  );
  await settled(panel.root);
  for (const details of panel.root.querySelectorAll("details")) details.open = true;
  const report = problemsIn(panel.root);
  const count = (selector) => panel.root.querySelectorAll(selector).length;
  const drew = { turns: count("[data-testid=turn]"), maths: count("math"),
    markup: count(".arn-markup > *"), colours: count("[class^=hljs-]") };
  panel.root.remove();
  return { ...report, drew };
}

/** Every payload as an answer that streams in, so many characters at a time. */
export async function showStreamed(payloads, size, steps) {
  const panel = await panelOfAll();
  const texts = Object.entries(payloads);
  const item = { kind: "text", text: "" };
  panel.change(
    ...texts.map(([id], position) => ({
      op: "turn",
      turn: { id, position, status: "running", items: [item], discarded: false },
    })),
  );
  await drawn();
  let reports = [];
  for (let step = 0, left = texts; left.length > 0; step += 1) {
    const start = step * size;
    // What is very long comes in a last piece.
    const end = step === steps ? undefined : start + size;
    panel.change(
      ...left.map(([id, text]) => ({
        op: "append", id, index: 0, field: "text", text: text.slice(start, end),
      })),
    );
    await drawn();
    if (step % 20 === 0) reports.push(problemsIn(panel.root));
    left = step === steps ? [] : left.filter(([, text]) => text.length > end);
  }
  panel.change(...texts.map(([id]) => ({ op: "patch", id, set: { status: "completed" } })));
  await settled(panel.root);
  reports.push(problemsIn(panel.root));
  const shown = panel.root.querySelectorAll("[data-testid=turn]").length;
  panel.root.remove();
  return { problems: reports.flatMap(({ problems }) => problems), seen: shown };
}

/** Every payload as what stands around the turns: names, titles, banners, lists. */
export async function showAround(payloads) {
  const panel = panelOf({});
  await settled(panel.root);
  panel.root.querySelector("[data-testid=conversations]").click();
  const reports = [];
  for (const [name, text] of Object.entries(payloads)) {
    const error = { type: text, message: text, retryable: false };
    const conversation = { instance_id: text, name: text, turns: 1, activity: 1, parent: text };
    const branches = [{ after: null, index: 0,
      options: [{ instance_id: text, name: text }, { instance_id: "b", name: text }] }];
    panel.say({ type: "conversations", items: [conversation], search: "", next: null });
    panel.change({ op: "panel", set: { title: text, name: text, starters: [text],
      detail: text, storage: text, branches, phase: "offline", allowed_tools: [text] } });
    panel.say({ type: "refused", message_id: "x", what: "retry", error });
    await drawn();
    const words = panel.root.textContent;
    if (!words.includes(text)) reports.push({ problems: [`${name}: not shown`], seen: 0 });
    reports.push(problemsIn(panel.root, name));
  }
  panel.root.remove();
  return {
    problems: reports.flatMap(({ problems }) => problems),
    seen: reports.reduce((sum, { seen }) => sum + seen, 0),
  };
}

/** Markup that was made elsewhere, as a notebook's page shows it. */
export async function showMarkup(forms) {
  const problems = [];
  let seen = 0;
  for (const [name, html] of Object.entries(forms)) {
    const box = document.body.appendChild(document.createElement("div"));
    box.dataset.frozen = "";
    box.innerHTML = html;
    const report = problemsIn(box, name);
    problems.push(...report.problems);
    seen += report.seen;
    box.remove();
  }
  await drawn();
  return { problems, seen };
}
