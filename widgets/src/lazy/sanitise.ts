/** Markup of tools without anything that acts, loads or leaves its place. */

import DOMPurify from "dompurify";

const TAGS =
  `a abbr b bdi bdo blockquote br caption cite code col colgroup dd del dfn div
  dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp
  small span strong sub sup table tbody td tfoot th thead tr u ul`.split(/\s+/);
const ATTRIBUTES = [
  "alt",
  "colspan",
  "dir",
  "href",
  "rowspan",
  "scope",
  "src",
  "start",
];

export interface Sanitised {
  content: DocumentFragment;
  /** The addresses of its images, which have none themselves: nothing is loaded. */
  sources: Map<Element, string>;
}

/** The markup as nodes: text, tables, links and images, nothing else. */
export function sanitise(markup: string): Sanitised {
  const sources = new Map<Element, string>();
  DOMPurify.addHook("uponSanitizeAttribute", (node, attribute) => {
    if (attribute.attrName !== "src") return;
    sources.set(node, attribute.attrValue);
    attribute.keepAttr = false;
  });
  try {
    const content = DOMPurify.sanitize(markup, {
      ALLOWED_TAGS: TAGS,
      ALLOWED_ATTR: ATTRIBUTES,
      ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
      ALLOW_ARIA_ATTR: false,
      ALLOW_DATA_ATTR: false,
      RETURN_DOM_FRAGMENT: true,
    });
    return { content, sources };
  } finally {
    DOMPurify.removeAllHooks();
  }
}
