// SPDX-License-Identifier: Apache-2.0
// Owns the run of one test file under CTest: it checks that the packages are there, then starts Node's test runner.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const dir = path.dirname(fileURLToPath(import.meta.url));
const { dependencies } = JSON.parse(readFileSync(path.join(dir, "package.json"), "utf8"));
const missing = Object.keys(dependencies).filter(
    (name) => !existsSync(path.join(dir, "node_modules", name, "package.json")),
);
if (missing.length > 0) {
    console.log(
        `skipped: npm packages are missing (${missing.join(", ")}); run scripts/install-deps --test`,
    );
    process.exit(0);
}
if (Number(process.versions.node.split(".")[0]) < 18) {
    console.log(`skipped: Node.js ${process.versions.node} is too old, 18 is the least`);
    process.exit(0);
}
const ran = spawnSync(
    process.execPath,
    ["--test", "--test-reporter=spec", path.join(dir, process.argv[2])],
    {
        cwd: dir,
        stdio: "inherit",
    },
);
process.exit(ran.status ?? 1);
