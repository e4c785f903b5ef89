/**
 * Large images are made smaller before they are sent: models look at no more than some
 * 2,000 pixels, Jupyter closes a connection over which more than 10 MiB come at once, and
 * the kernel sends the images back to be shown.
 */

/** Bytes up to which an image is left as it is. */
export const SMALL_IMAGE = 500_000;
const SIDES = [2048, 1536, 1024];
const QUALITY = 0.88;

/** The image itself if it is small or moves, else a smaller one; rejects what is none. */
export async function resizeImage(file: File): Promise<Blob> {
  if (file.size <= SMALL_IMAGE || file.type === "image/gif") return file;
  const image = await createImageBitmap(file);
  try {
    let smaller: Blob = file;
    for (const side of SIDES) {
      smaller = await drawn(image, side);
      if (smaller.size <= SMALL_IMAGE) break;
    }
    return smaller;
  } finally {
    image.close();
  }
}

function drawn(image: ImageBitmap, side: number): Promise<Blob> {
  const scale = Math.min(1, side / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  const brush = canvas.getContext("2d");
  if (!brush) throw new Error("this browser cannot draw");
  // A JPEG knows no transparency.
  brush.fillStyle = "#fff";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    const take = (blob: Blob | null) =>
      blob ? resolve(blob) : reject(new Error("the image is too large"));
    canvas.toBlob(take, "image/jpeg", QUALITY);
  });
}
