"""Finds text that is hard to read."""

from playwright.sync_api import Locator

# Colours come in many notations; a canvas knows them all.
_FIND = """
(root) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const paint = (colors) => {
    context.clearRect(0, 0, 1, 1);
    for (const color of colors) {
      context.fillStyle = color;
      context.fillRect(0, 0, 1, 1);
    }
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (rgba) => {
    const [r, g, b] = rgba.slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const backgrounds = (element) => {
    const colors = [];
    for (let one = element; one; one = one.parentElement) {
      colors.unshift(getComputedStyle(one).backgroundColor);
    }
    return colors;
  };
  const isShown = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) &&
    !element.closest(".arn-hidden, :disabled");
  const hasText = (element) =>
    [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const found = {};
  for (const element of root.querySelectorAll("*")) {
    if (!hasText(element) || !isShown(element)) continue;
    const behind = backgrounds(element);
    const ink = getComputedStyle(element).color;
    const one = luminance(paint([...behind, ink]));
    const other = luminance(paint(behind));
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    const name = `${element.localName}.${element.className}`;
    found[name] = Math.min(ratio, found[name] ?? 99);
  }
  return found;
}
"""


def contrasts(root: Locator) -> dict[str, float]:
    """The lowest contrast of the text of each kind of element, by WCAG's measure."""
    return root.evaluate(_FIND)
