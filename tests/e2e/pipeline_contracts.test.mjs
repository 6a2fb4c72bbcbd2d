// SPDX-License-Identifier: Apache-2.0
// Owns the proof that the code which `millrace bench pipeline` runs is that of the contracts beside this file.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import solc from "solc";

import { e2e_dir } from "./harness/node.mjs";

const cpp = readFileSync(path.join(e2e_dir, "../../host/node/benchmark/pipeline_contracts.cpp"), "utf8");

/** The string literals of the constant, put together. */
function constant(name) {
    const [, literals] = cpp.match(new RegExp(`${name} =([\\s"0-9a-f]+);`));
    return literals.replace(/[\s"]/g, "");
}

for (const [contract, name] of [
    ["PipelineToken", "token_hex"],
    ["PipelineRouter", "router_hex"],
]) {
    test(`${contract} is what the measurement runs`, () => {
        const file = `contracts/${contract}.sol`;
        const input = {
            language: "Solidity",
            sources: { [file]: { content: readFileSync(path.join(e2e_dir, file), "utf8") } },
            settings: {
                optimizer: { enabled: true, runs: 10000 },
                evmVersion: "cancun",
                metadata: { appendCBOR: false, bytecodeHash: "none" },
                outputSelection: { "*": { "*": ["evm.deployedBytecode.object"] } },
            },
        };
        const output = JSON.parse(solc.compile(JSON.stringify(input)));
        assert.equal(output.errors, undefined);
        assert.equal(constant(name), output.contracts[file][contract].evm.deployedBytecode.object);
    });
}
