import { useEffect, useRef, useState } from "preact/hooks";

/** Something that opens at a button and closes when one presses elsewhere. */
export function usePopover() {
  const [isOpen, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!isOpen) return;
    const onPointer = (event: PointerEvent) => {
      // The path, not the target: what was pressed may be drawn anew by now.
      if (root.current && !event.composedPath().includes(root.current)) setOpen(false);
    };
    document.addEventListener("pointerdown", onPointer);
    return () => document.removeEventListener("pointerdown", onPointer);
  }, [isOpen]);
  return {
    isOpen,
    root,
    button,
    toggle: () => setOpen(!isOpen),
    /** Close it; whoever was in it is at its button again. */
    close: () => {
      setOpen(false);
      button.current?.focus({ preventScroll: true });
    },
  };
}
