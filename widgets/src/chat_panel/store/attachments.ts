/** Images that go with a message. */

import { resizeImage } from "./image_resize.ts";
import type { UserItem } from "./model.ts";

export interface Attachment {
  name: string;
  /** A data URI. */
  uri: string;
}

export const ACCEPTED_TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const MOST = 10;
const MEGABYTE = 1024 * 1024;
const MOST_MEGABYTES = 40;
const MOST_MEGABYTES_OF_GIF = 5; // which is sent as it is
/** Jupyter closes the connection over which more than 10 MB come at once, as base64. */
const MOST_MEGABYTES_TOGETHER = 6;

interface FileFacts {
  name: string;
  type: string;
  size: number;
}

/** Why a file cannot go with a message that has `present` already; null: it can. */
export function rejectionReason(file: FileFacts, present: number): string | null {
  const name = file.name || "This file";
  if (!ACCEPTED_TYPES.includes(file.type)) {
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

/** Only what is here can be sent again; large images are not kept in the picture. */
export function attachmentsOf(user: UserItem): Attachment[] {
  return user.media.flatMap(({ uri }, index) =>
    uri?.startsWith("data:") ? [{ name: `image ${index + 1}`, uri }] : [],
  );
}

/** Read what can be sent; the last reason why something cannot is told. */
export async function readImages(
  files: File[],
  present: Attachment[],
): Promise<{ images: Attachment[]; problem: string | null }> {
  const images: Attachment[] = [];
  let problem: string | null = null;
  for (const file of files) {
    const read = await readImage(file, [...present, ...images]);
    if (typeof read === "string") problem = read;
    else images.push(read);
  }
  return { images, problem };
}

/** The image, or why it cannot go with those that are there. */
async function readImage(
  file: File,
  present: Attachment[],
): Promise<Attachment | string> {
  const name = file.name || "This file";
  const reason = rejectionReason(file, present.length);
  if (reason !== null) return reason;
  const uri = await small(file);
  if (uri === null) return `${name} cannot be read as an image.`;
  const all = [uri, ...present.map((image) => image.uri)];
  if (megabytes(all) > MOST_MEGABYTES_TOGETHER) {
    return `${name} is left out: the images of a message may have ${MOST_MEGABYTES_TOGETHER} MB together.`;
  }
  return { name: file.name || "image", uri };
}

/** Of what the data URIs hold. */
function megabytes(uris: string[]): number {
  const characters = uris.reduce((sum, uri) => sum + uri.length, 0);
  return (characters * 0.75) / MEGABYTE;
}

async function small(file: File): Promise<string | null> {
  try {
    return await dataUri(await resizeImage(file));
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
