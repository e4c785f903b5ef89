/** What of a model's output may become an attribute. Model output is hostile. */

const LINK_SCHEMES = new Set(["http:", "https:", "mailto:"]);
const IMAGE_DATA = /^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/;

/** The address if a link may lead there; relative ones would lead into the notebook. */
export function safeLink(address: string): string | null {
  const url = parse(address);
  return url && LINK_SCHEMES.has(url.protocol) ? url.href : null;
}

/** The address if an image may be loaded from there, once somebody asks for it. */
export function safeImage(address: string): string | null {
  if (IMAGE_DATA.test(address)) return address;
  const url = parse(address);
  const web = url?.protocol === "https:" || url?.protocol === "http:";
  return url && web ? url.href : null;
}

function parse(address: string): URL | null {
  try {
    return new URL(address.trim());
  } catch {
    return null;
  }
}
