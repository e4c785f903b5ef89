import { useContext, useLayoutEffect, useRef } from "preact/hooks";
import { Modules } from "../../shared/lazy_context.ts";
import { memo } from "../../shared/memo.tsx";
import { GrowingMarkdown } from "../markdown/markdown_renderer.ts";

export const Markdown = memo(({ text, done }: { text: string; done: boolean }) => {
  const modules = useContext(Modules);
  const root = useRef<HTMLDivElement>(null);
  const growing = useRef<GrowingMarkdown | undefined>(undefined);
  useLayoutEffect(() => {
    if (!root.current) return;
    growing.current ??= new GrowingMarkdown(root.current, modules);
    growing.current.show(text, done);
  }, [text, done, modules]);
  return (
    <div class="arn-markdown" ref={root} data-testid="answer" data-growing={!done} />
  );
});
