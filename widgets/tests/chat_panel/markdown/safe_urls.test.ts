import assert from "node:assert/strict";
import { test } from "node:test";
import { safeImage, safeLink } from "../../../src/chat_panel/markdown/safe_urls.ts";

test("links lead to the web or to mail, nowhere else", () => {
  assert.equal(safeLink("https://example.org/a?b=c"), "https://example.org/a?b=c");
  assert.equal(safeLink("mailto:a@example.org"), "mailto:a@example.org");
  for (const address of [
    "javascript:alert(1)",
    " JaVaScRiPt:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "/api/kernels",
    "//example.org",
    "#top",
    "",
  ]) {
    assert.equal(safeLink(address), null, address);
  }
});

test("images come from the web or are images themselves", () => {
  const png = "data:image/png;base64,iVBORw0KGgo=";

  assert.equal(safeImage(png), png);
  assert.equal(safeImage("https://example.org/p.png"), "https://example.org/p.png");
  for (const address of [
    "data:image/svg+xml;base64,PHN2Zz4=",
    "data:text/html;base64,PHN2Zz4=",
    "javascript:alert(1)",
    "/files/secret.png",
  ]) {
    assert.equal(safeImage(address), null, address);
  }
});
