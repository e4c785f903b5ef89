/** Images that go with a message. */

import { shrink } from "./shrink.ts";

export interface Attachment {
  name: string;
  /** A data URI. */
  uri: string;
}

export const ACCEPTED = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const MOST = 10;
const MEGABYTE = 1024 * 1024;
const MOST_MEGABYTES = 40;
const MOST_MEGABYTES_OF_GIF = 5; // which is sent as it is

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
  const most = file.type === "image/gif" ? MOST_MEGABYTES_OF_GIF : MOST_MEGABYTES;
  if (file.size > most * MEGABYTE) {
    const size = (file.size / MEGABYTE).toFixed(1);
    return `${name} has ${size} MB: such an image may have ${most} MB at most.`;
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
    const uri = reason === null ? await small(file) : null;
    if (uri !== null) images.push({ name: file.name || "image", uri });
    else problem = reason ?? `${file.name || "This file"} cannot be read as an image.`;
  }
  return { images, problem };
}

async function small(file: File): Promise<string | null> {
  try {
    return await dataUri(await shrink(file));
  } catch {
    return null;
  }
}

function dataUri(file: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
