import { useContext, useLayoutEffect, useRef } from "preact/hooks";
import { LazyModulesContext } from "../../shared/lazy_context.ts";
import { memo } from "../../shared/memo.tsx";
import { MarkdownRenderer } from "../markdown/markdown_renderer.ts";

export const Markdown = memo(({ text, done }: { text: string; done: boolean }) => {
  const modules = useContext(LazyModulesContext);
  const root = useRef<HTMLDivElement>(null);
  const renderer = useRef<MarkdownRenderer | undefined>(undefined);
  useLayoutEffect(() => {
    if (!root.current) return;
    renderer.current ??= new MarkdownRenderer(root.current, modules);
    renderer.current.show(text, done);
  }, [text, done, modules]);
  return (
    <div class="arn-markdown" ref={root} data-testid="answer" data-growing={!done} />
  );
});
