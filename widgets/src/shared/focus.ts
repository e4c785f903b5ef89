/** Where the focus is, and how it is moved. */

/** Whether nobody has the focus: where it was has gone, or does nothing any more. */
export function isFocusLost(near: Element): boolean {
  const { activeElement, body } = near.ownerDocument;
  return (
    activeElement === null ||
    activeElement === body ||
    activeElement.matches(":disabled")
  );
}

/** Put the focus somewhere, without scrolling; nowhere else if there is no such place. */
export function focusOn(element: HTMLElement | null | undefined): void {
  element?.focus({ preventScroll: true });
}

/** Stand at something that is read, not pressed. */
export function focusTemporarily(element: HTMLElement): void {
  element.tabIndex = -1;
  const leave = () => element.removeAttribute("tabindex");
  element.addEventListener("blur", leave, { once: true });
  focusOn(element);
}
