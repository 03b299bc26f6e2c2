// Bundles the studio's editor library: `npm run bundle` writes it, `npm run bundle -- --check` fails where another one is
// vendored than these sources and this lock make.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { build } from "esbuild";

const VENDOR = "limner/surfaces/web/vendor";
const made = await build({
  entryPoints: [".ci/bundle/prosemirror.js"],
  bundle: true,
  alias: { "linkify-it": "./.ci/bundle/no-linkify.js" }, // the dialect makes no links of bare addresses
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  charset: "utf8",
  metafile: true,
  write: false,
});
const script = made.outputFiles[0].contents;
const names = new Set(Object.keys(made.metafile.inputs).flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []));
const licences = [...names].sort().map((name) => {
  const folder = `node_modules/${name}`;
  const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  if (!file) throw new Error(`${name} has no licence file`);
  return `${name} ${version}, ${license}\n\n${readFileSync(`${folder}/${file}`, "utf8").trim()}\n`;
});
const files = { "prosemirror.js": Buffer.from(script), "LICENSE.prosemirror": Buffer.from(licences.join(`\n${"-".repeat(80)}\n\n`)) };
const sum = (bytes) => createHash("sha256").update(bytes).digest("hex");

for (const [name, bytes] of Object.entries(files)) {
  if (!process.argv.includes("--check")) writeFileSync(`${VENDOR}/${name}`, bytes);
  else if (!readFileSync(`${VENDOR}/${name}`).equals(bytes)) {
    console.error(`${VENDOR}/${name} is not what .ci/bundle makes: run npm run bundle, and put its SHA-256 into ${VENDOR}/README.md.`);
    process.exit(1);
  }
}
if (!process.argv.includes("--check")) console.log([...names].sort().join(", "), `\n${sum(files["prosemirror.js"])}`);
