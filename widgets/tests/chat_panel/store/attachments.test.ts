import assert from "node:assert/strict";
import { test } from "node:test";
import { rejectionReason } from "../../../src/chat_panel/store/attachments.ts";

test("a file that cannot be sent is named with the reason", () => {
  const image = { name: "a.png", type: "image/png", size: 1_000 };

  assert.equal(rejectionReason(image, 0), null);
  assert.match(
    rejectionReason({ ...image, type: "application/pdf" }, 0) ?? "",
    /PNG, JPEG/,
  );
  assert.equal(rejectionReason({ ...image, size: 6_000_000 }, 0), null);
  assert.match(
    rejectionReason({ ...image, size: 60_000_000 }, 0) ?? "",
    /57\.2 MB.*40 MB/,
  );
  const moving = { ...image, type: "image/gif", size: 6_000_000 };
  assert.match(rejectionReason(moving, 0) ?? "", /5\.7 MB.*5 MB/);
  assert.match(rejectionReason(image, 10) ?? "", /10 images/);
});
