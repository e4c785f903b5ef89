/** Images that go with a message. */

export interface Attachment {
  name: string;
  /** A data URI. */
  uri: string;
}

export const ACCEPTED = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const MOST = 10;
const MOST_BYTES = 5 * 1024 * 1024;

interface FileFacts {
  name: string;
  type: string;
  size: number;
}

/** Why a file cannot go with a message that has `present` already; null: it can. */
export function whyNot(file: FileFacts, present: number): string | null {
  const name = file.name || "This file";
  if (!ACCEPTED.includes(file.type)) {
    return `${name} cannot be sent: only PNG, JPEG, GIF and WebP images can.`;
  }
  if (file.size > MOST_BYTES) {
    const size = (file.size / 1024 / 1024).toFixed(1);
    return `${name} has ${size} MB: an image may have 5 MB at most.`;
  }
  if (present >= MOST)
    return `${name} is left out: a message has ${MOST} images at most.`;
  return null;
}

/** Read what can be sent; the last reason why something cannot is told. */
export async function readImages(
  files: File[],
  present: number,
): Promise<{ images: Attachment[]; problem: string | null }> {
  const images: Attachment[] = [];
  let problem: string | null = null;
  for (const file of files) {
    const reason = whyNot(file, present + images.length);
    if (reason) problem = reason;
    else images.push({ name: file.name || "image", uri: await dataUri(file) });
  }
  return { images, problem };
}

function dataUri(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
