// SPDX-License-Identifier: Apache-2.0
// Owns the compilation of the test contracts with the solc of npm.
import { readFileSync } from "node:fs";
import path from "node:path";

import solc from "solc";

import { e2e_dir } from "./node.mjs";

/** Compiles contracts/NAME.sol. Gives {abi, bytecode} of the contract NAME; throws on any diagnostic. */
export function compile(name) {
    return compile_file(`tests/e2e/contracts/${name}.sol`, name);
}

/** The same of the contract `name` in a file of the tree. */
export function compile_file(file, name) {
    const input = {
        language: "Solidity",
        sources: { [file]: { content: readFileSync(path.join(e2e_dir, "../..", file), "utf8") } },
        settings: {
            optimizer: { enabled: true, runs: 200 },
            outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
        },
    };
    const find = (wanted) => {
        try {
            return { contents: readFileSync(path.join(e2e_dir, "node_modules", wanted), "utf8") };
        } catch (error) {
            return { error: error.message };
        }
    };
    const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
    if (output.errors?.length) {
        throw new Error(output.errors.map((error) => error.formattedMessage).join("\n"));
    }
    const { abi, evm } = output.contracts[file][name];
    return { abi, bytecode: `0x${evm.bytecode.object}` };
}

/** A compiled contract of @uniswap/v2-core, from its npm package. */
export function uniswap(name) {
    const file = path.join(e2e_dir, `node_modules/@uniswap/v2-core/build/${name}.json`);
    const { abi, bytecode } = JSON.parse(readFileSync(file, "utf8"));
    return { abi, bytecode: bytecode.startsWith("0x") ? bytecode : `0x${bytecode}` };
}
