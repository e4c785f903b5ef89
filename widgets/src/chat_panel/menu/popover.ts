import { useEffect, useRef, useState } from "preact/hooks";

/** Something that opens at a button, and closes by Escape and when one goes elsewhere. */
export function usePopover() {
  const [isOpen, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!isOpen) return;
    // A press inside may move the focus out, and is no reason to close.
    let isTabbing = false;
    const onPointer = (event: PointerEvent) => {
      isTabbing = false;
      // The path, not the target: what was pressed may be drawn anew by now.
      if (root.current && !event.composedPath().includes(root.current)) setOpen(false);
    };
    const onKey = (event: KeyboardEvent) => {
      isTabbing = event.key === "Tab";
      if (event.key !== "Escape" || event.isComposing) return;
      event.preventDefault();
      close();
    };
    const onLeave = ({ relatedTarget }: FocusEvent) => {
      const isOut = relatedTarget && !root.current?.contains(relatedTarget as Node);
      if (isOut && isTabbing) setOpen(false);
    };
    const ending = new AbortController();
    const { signal } = ending;
    document.addEventListener("pointerdown", onPointer, { signal });
    root.current?.addEventListener("keydown", onKey, { signal });
    root.current?.addEventListener("focusout", onLeave, { signal });
    return () => ending.abort();
  }, [isOpen]);
  const close = () => {
    setOpen(false);
    button.current?.focus({ preventScroll: true });
  };
  return {
    isOpen,
    root,
    button,
    toggle: () => setOpen(!isOpen),
    /** Close it; whoever was in it is at its button again. */
    close,
    /** Close it; the focus is moved only if it would be lost. */
    leave: () => {
      setOpen(false);
      const at = document.activeElement;
      if (at !== button.current && root.current?.contains(at)) {
        button.current?.focus({ preventScroll: true });
      }
    },
  };
}
