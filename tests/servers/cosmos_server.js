// Starts the emulator @vercel/cosmosdb-server, corrected where it differs from Cosmos DB.
//
//     node cosmos_server.js FOLDER KEY
//
// FOLDER holds node_modules. Prints the port, and ends when its standard input does.
// Corrected: a missing document is 404 and not a crash; a transactional batch takes its
// partition from the header, knows patches, and is undone whole if one part fails;
// queries see one partition if one is named; 2 MB and 100 operations are the limits;
// and a request must be signed with the account's key.
"use strict";
const crypto = require("node:crypto");
const path = require("node:path");

const [folder, key] = process.argv.slice(2);
const lib = path.join(folder, "node_modules", "@vercel", "cosmosdb-server", "lib");
const load = (name) => require(path.join(lib, name));

const LIMIT = 2 * 1024 * 1024;
const MOST_OPERATIONS = 100;
const { parsePartitionKey, default: partitionHeader } = load("utils/get-partition-from-header");
const operations = load("handler/_document-operations");
const { patchOperation } = load("handler/_patch-operations");
const bodyOf = load("json").default;

const isTooLarge = (document) => Buffer.byteLength(JSON.stringify(document)) > LIMIT;

const fail = (res, statusCode, message) => {
  res.statusCode = statusCode;
  return { code: String(statusCode), message };
};

// --- one document

const readDocument = load("handler/read-document");
const originalRead = readDocument.default;
readDocument.default = (account, req, res, place) => {
  const container = account.database(place.dbId).collection(place.collId);
  const partition = parsePartitionKey(partitionHeader(req), place.docId);
  if (container.read() && !container.document(place.docId, partition).read()) {
    return fail(res, 404, "there is no such document");
  }
  return originalRead(account, req, res, place);
};

// --- batches

const STEPS = {
  Create: operations.createOperation,
  Upsert: operations.upsertOperation,
  Read: operations.readOperation,
  Delete: operations.deleteOperation,
  Replace: operations.replaceOperation,
  Patch: (container, step) =>
    patchOperation(container, {
      ...step,
      operations: step.resourceBody.operations,
      condition: step.resourceBody.condition,
    }),
};

const restore = (documents, id, partition, before) => {
  if (documents._item("/id", id, partition).read()) documents.delete(id, partition);
  if (before) documents._set(before);
};

const runBatch = (container, steps, header) => {
  const partition = parsePartitionKey(header, "");
  const undo = [];
  const outcomes = [];
  for (const step of steps) {
    const id = step.id || step.resourceBody.id;
    const before = container.document(id, partition).read();
    undo.push(() => restore(container.documents, id, partition, before));
    const done = STEPS[step.operationType](container, { ...step, partitionKey: header });
    if (done.statusCode < 400 && done.body && isTooLarge(done.body)) done.statusCode = 413;
    outcomes.push({
      statusCode: done.statusCode,
      requestCharge: 1,
      eTag: done.body && done.body._etag,
      resourceBody: done.body,
    });
    if (done.statusCode >= 400) {
      undo.reverse().forEach((one) => one());
      const failed = outcomes.length - 1;
      return steps.map((_, number) =>
        number === failed ? outcomes[failed] : { statusCode: 424, requestCharge: 0 },
      );
    }
  }
  return outcomes;
};

load("handler/batch-documents").default = async (account, req, res, place) => {
  const steps = await bodyOf(req);
  const container = account.database(place.dbId).collection(place.collId);
  if (!container.read()) return fail(res, 404, "there is no such container");
  if (steps.length > MOST_OPERATIONS) return fail(res, 400, "more than 100 operations");
  if (isTooLarge(steps)) return fail(res, 413, "the batch has more than 2 MB");
  const outcomes = runBatch(container, steps, partitionHeader(req));
  if (outcomes.some((one) => one.statusCode >= 400)) res.statusCode = 207;
  return outcomes;
};

// --- queries

const inPartition = (documents, partition) => {
  const path_ = documents._getPartitionKeyPath();
  const kept = [...documents._data].filter(
    ([, item]) => path_.reduce((value, name) => value && value[name], item.read()) === partition,
  );
  return Object.create(documents, { _data: { value: new Map(kept) } });
};

const queryDocuments = load("handler/query-documents");
const originalQuery = queryDocuments.default;
queryDocuments.default = (account, req, res, place) => {
  const header = partitionHeader(req);
  const partition = header ? parsePartitionKey(header, undefined) : undefined;
  if (partition === undefined) return originalQuery(account, req, res, place);
  const container = account.database(place.dbId).collection(place.collId);
  const view = Object.create(container, {
    documents: { value: inPartition(container.documents, partition) },
  });
  const only = { database: () => ({ collection: () => view }) };
  return originalQuery(only, req, res, place);
};

// --- the key

const signature = (req) => {
  const parts = req.url.split("?")[0].split("/").filter(Boolean).map(decodeURIComponent);
  const type = parts.length % 2 ? parts[parts.length - 1] : parts[parts.length - 2] || "";
  const link = (parts.length % 2 ? parts.slice(0, -1) : parts).join("/");
  const text = [req.method, type].map((word) => word.toLowerCase()).concat([
    link,
    (req.headers["x-ms-date"] || "").toLowerCase(),
    "",
    "",
  ]);
  return crypto
    .createHmac("sha256", Buffer.from(key, "base64"))
    .update(text.join("\n"))
    .digest("base64");
};

const isSigned = (req) => {
  const given = new URLSearchParams(decodeURIComponent(req.headers.authorization || "").replace(/\+/g, "%2B"));
  return given.get("sig") === signature(req);
};

// --- the server

const { createHttpsServer } = load("index");
const server = createHttpsServer({ keepAlive: true });
const [answer] = server.listeners("request");
server.removeAllListeners("request");
server.on("request", (req, res) => {
  if (isSigned(req)) {
    answer(req, res);
    return;
  }
  req.resume();
  res.writeHead(401, { "content-type": "application/json" });
  res.end(JSON.stringify({ code: "Unauthorized", message: "the signature is wrong" }));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume().on("end", () => process.exit());
