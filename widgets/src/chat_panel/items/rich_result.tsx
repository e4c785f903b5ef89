import { useContext, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Sanitised } from "../../lazy/sanitise.ts";
import { LazyModulesContext } from "../../shared/lazy_context.ts";
import { memo } from "../../shared/memo.tsx";
import { imageButton } from "../markdown/image_placeholder.ts";
import { safeLink } from "../markdown/safe_urls.ts";
import type { RichResult } from "../store/model.ts";
import { Media } from "./media.tsx";

interface RichResultsProps {
  results: RichResult[];
  /** The tool's name. */
  of: string;
}

/** What a tool gave for people to look at. */
export function RichResults({ results, of }: RichResultsProps) {
  return (
    <div class="arn-rich" data-testid="rich">
      {results.map(({ media_type, data }, index) =>
        media_type === "text/html" ? (
          <Markup key={index} markup={data} label={`What ${of} gave`} />
        ) : (
          <Media
            key={index}
            item={{ kind: "media", uri: data, media_type }}
            label={`Image from ${of}`}
          />
        ),
      )}
    </div>
  );
}

const Markup = memo(({ markup, label }: { markup: string; label: string }) => {
  const modules = useContext(LazyModulesContext);
  const root = useRef<HTMLElement>(null);
  const [problem, setProblem] = useState(false);
  useLayoutEffect(() => {
    let isOver = false;
    modules?.get("sanitise").then(
      ({ sanitise }) => {
        if (!isOver) root.current?.replaceChildren(harmless(sanitise(markup)));
      },
      () => setProblem(true),
    );
    return () => {
      isOver = true;
    };
  }, [markup, modules]);
  if (problem) return <p class="arn-note">This result cannot be shown here.</p>;
  return (
    <section
      class="arn-markup arn-markdown"
      ref={root}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a wide table is scrolled by keys
      tabIndex={0}
      aria-label={label}
    />
  );
});

/** Links that leave the notebook alone, images on demand, tables that scroll. */
function harmless({ content, sources }: Sanitised): DocumentFragment {
  for (const link of content.querySelectorAll("a")) {
    const href = safeLink(link.getAttribute("href") ?? "");
    link.removeAttribute("href");
    if (href === null) continue;
    link.href = href;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  for (const image of content.querySelectorAll("img")) {
    image.replaceWith(imageButton(sources.get(image) ?? "", image.alt || "image"));
  }
  for (const table of content.querySelectorAll("table")) {
    if (table.parentElement?.closest("table")) continue;
    const box = document.createElement("div");
    box.className = "arn-table";
    table.replaceWith(box);
    box.append(table);
  }
  return content;
}
