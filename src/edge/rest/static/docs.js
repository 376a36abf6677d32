// Shows /openapi.json. Everything is made with textContent: nothing of the document is taken for markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
const MAX_DEPTH = 6;

function element(tag, text, ...children) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function resolve(document_, schema) {
  if (!schema || !schema.$ref) return schema || {};
  return schema.$ref.slice(2).split("/").reduce((at, part) => at[part], document_);
}

// An example of a schema: what a body looks like.
function sample(document_, schema, depth = 0) {
  const own = resolve(document_, schema);
  if (depth > MAX_DEPTH) return null;
  if (own.enum) return own.enum[0];
  const type = Array.isArray(own.type) ? own.type[0] : own.type;
  if (type === "object") {
    const entries = Object.entries(own.properties || {});
    return Object.fromEntries(entries.map(([name, each]) => [name, sample(document_, each, depth + 1)]));
  }
  if (type === "array") return [sample(document_, own.items, depth + 1)];
  return { string: own.format === "int64" ? "0" : "", integer: 0, number: 0, boolean: false }[type] ?? null;
}

function typeName(document_, schema) {
  const own = resolve(document_, schema);
  if (own.enum) return own.enum.join(" | ");
  if (own.type === "array") return `list of ${typeName(document_, own.items)}`;
  const name = schema && schema.$ref ? schema.$ref.split("/").pop() : [].concat(own.type || "any").join(" | ");
  return own.format ? `${name} (${own.format})` : name;
}

function fieldTable(document_, rows) {
  const table = element("table");
  for (const { name, required, schema, description } of rows) {
    const row = element("tr");
    row.append(
      element("td", "", element("code", name)),
      element("td", `${typeName(document_, schema)}${required ? ", required" : ""}`),
      element("td", description || ""),
    );
    table.append(row);
  }
  return table;
}

function bodyRows(document_, schema) {
  const own = resolve(document_, schema);
  const needed = new Set(own.required || []);
  return Object.entries(own.properties || {}).map(([name, each]) => ({
    name, schema: each, required: needed.has(name), description: each.description,
  }));
}

function tryIt(document_, method, path, operation) {
  const form = element("form");
  const inputs = new Map();
  for (const parameter of operation.parameters) {
    const input = element("input");
    input.placeholder = parameter.name;
    input.setAttribute("aria-label", parameter.name);
    inputs.set(parameter, input);
    form.append(input, " ");
  }
  let body = null;
  if (operation.requestBody) {
    body = element("textarea");
    body.setAttribute("aria-label", "Body");
    const schema = operation.requestBody.content["application/json"].schema;
    body.value = JSON.stringify(sample(document_, schema), null, 2);
    form.append(body);
  }
  const shown = element("pre", "");
  shown.hidden = true;
  form.append(element("button", "Send"), shown);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    let url = path;
    const query = new URLSearchParams();
    for (const [parameter, input] of inputs) {
      if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value) query.append(parameter.name, input.value);
    }
    const headers = {};
    const secret = document.getElementById("secret").value;
    if (secret) headers.authorization = `Bearer ${secret}`;
    if (body) headers["content-type"] = "application/json";
    const asked = query.size ? `${url}?${query}` : url;
    shown.hidden = false;
    try {
      const answer = await fetch(asked, { method: method.toUpperCase(), headers, body: body && body.value });
      const text = await answer.text();
      let pretty = text;
      try { pretty = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: shown as it is */ }
      shown.textContent = `${answer.status}\n${pretty}`;
    } catch (error) {
      shown.textContent = String(error);
    }
  });
  return form;
}

function operationElement(document_, path, method, operation) {
  const summary = element("summary", "");
  const name = element("span", method.toUpperCase());
  name.className = "method";
  const text = element("span", ` ${operation.summary || ""}`);
  text.className = "dim";
  summary.append(name, element("code", path), text);
  const made = element("details", "", summary);
  made.dataset.words = `${method} ${path} ${operation.summary} ${operation.operationId}`.toLowerCase();
  made.addEventListener("toggle", () => {
    if (!made.open || made.children.length > 1) return;
    const inside = element("div");
    inside.className = "operation";
    if (operation.description) inside.append(element("p", operation.description));
    if (operation.parameters.length) inside.append(fieldTable(document_, operation.parameters));
    if (operation.requestBody) {
      const schema = operation.requestBody.content["application/json"].schema;
      inside.append(element("h3", "Body"), fieldTable(document_, bodyRows(document_, schema)));
    }
    for (const [status, answer] of Object.entries(operation.responses)) {
      if (status[0] !== "2") continue;
      const [content] = Object.values(answer.content || {});
      inside.append(element("h3", `Answer ${status}`));
      const schema = content && (content.schema["x-line"] || content.schema);
      if (schema) inside.append(element("pre", JSON.stringify(sample(document_, schema), null, 2)));
    }
    inside.append(element("h3", "Try it"), tryIt(document_, method, path, operation));
    made.append(inside);
  });
  return made;
}

function show(document_) {
  const sections = new Map(document_.tags.map((tag) => {
    const text = element("p", tag.description);
    text.className = "dim";
    return [tag.name, element("section", "", element("h2", tag.name), text)];
  }));
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const method of METHODS) {
      if (!methods[method]) continue;
      sections.get(methods[method].tags[0]).append(operationElement(document_, path, method, methods[method]));
    }
  }
  document.getElementById("operations").replaceChildren(...sections.values());
}

function filter(words) {
  for (const each of document.querySelectorAll("details")) {
    each.hidden = !words.toLowerCase().split(/\s+/).every((word) => each.dataset.words.includes(word));
  }
  for (const section of document.querySelectorAll("section")) {
    section.hidden = !section.querySelector("details:not([hidden])");
  }
}

document.getElementById("search").addEventListener("input", (event) => filter(event.target.value));
fetch("/openapi.json")
  .then((answer) => answer.json())
  .then(show, (error) => { document.getElementById("operations").textContent = String(error); });
