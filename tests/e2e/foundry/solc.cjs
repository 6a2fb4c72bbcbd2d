#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Owns the compiler that forge calls: the two requests it makes of a native solc (its version, and one
// standard-JSON compilation from the standard input), answered by the solc package of npm.
"use strict";
const solc = require("solc");

if (process.argv.includes("--version")) {
    const version = solc.version().replace(/\.Emscripten\.clang.*$/, ".Linux.g++");
    process.stdout.write(
        `solc, the solidity compiler commandline interface\nVersion: ${version}\n`,
    );
} else if (process.argv.includes("--standard-json")) {
    const input = require("fs").readFileSync(0, "utf8");
    process.stdout.write(solc.compile(input));
} else {
    process.stderr.write(
        `only --version and --standard-json are answered here, not ${process.argv.slice(2)}\n`,
    );
    process.exit(2);
}
