// SPDX-License-Identifier: Apache-2.0
// Owns the proof that a Foundry project deploys to the node: forge create and forge script --broadcast.
import assert from "node:assert/strict";
import path from "node:path";
import test from "node:test";
import { readFileSync } from "node:fs";

import { Contract, JsonRpcProvider } from "ethers";

import { accounts, chain_id } from "./harness/accounts.mjs";
import { e2e_dir, foundry, start_node, temporary_dir } from "./harness/node.mjs";

test("foundry", async (t) => {
    const node = await start_node(t);
    const home = temporary_dir(t, "home");
    const provider = new JsonRpcProvider(node.url, undefined, { cacheTimeout: -1 });
    t.after(() => provider.destroy());
    const env = {
        ETH_RPC_URL: node.url,
        FOUNDRY_OUT: path.join(home, "out"),
        FOUNDRY_CACHE_PATH: path.join(home, "cache"),
        FOUNDRY_BROADCAST: path.join(home, "broadcast"),
    };
    const forge = (...args) =>
        foundry("forge", args, {
            home,
            env,
            cwd: path.join(e2e_dir, "foundry"),
            timeout_ms: 120_000,
        });
    const read = async (address) => {
        const abi = ["function number() view returns (uint256)"];
        return new Contract(address, abi, provider).number();
    };

    await t.test("the project builds offline with the solc of npm", async () => {
        assert.match(await forge("build"), /Compiler run successful/);
    });

    await t.test("forge create deploys with a constructor argument", async () => {
        const [deployer] = accounts;
        const created = JSON.parse(
            await forge(
                ...["create", "src/Counter.sol:Counter", "--broadcast", "--json"],
                ...["--private-key", deployer.private_key, "--constructor-args", "7"],
            ),
        );
        assert.equal(created.deployer, deployer.address);
        assert.equal(await read(created.deployedTo), 7n);
        const receipt = await provider.getTransactionReceipt(created.transactionHash);
        assert.equal(receipt.contractAddress, created.deployedTo);
    });

    await t.test("forge script broadcasts a deployment and three calls in order", async () => {
        const [, deployer] = accounts;
        const args = ["--broadcast", "--rpc-url", node.url, "--private-key", deployer.private_key];
        const said = await forge("script", "script/Deploy.s.sol", ...args);
        assert.match(said, /ONCHAIN EXECUTION COMPLETE & SUCCESSFUL/);
        const run = JSON.parse(
            readFileSync(
                path.join(home, `broadcast/Deploy.s.sol/${chain_id}/run-latest.json`),
                "utf8",
            ),
        );
        assert.equal(run.receipts.length, 4);
        assert.ok(run.receipts.every((receipt) => BigInt(receipt.status) === 1n));
        assert.equal(await read(run.transactions[0].contractAddress), 43n);
        assert.equal(await provider.getTransactionCount(deployer.address), 4);
    });

    await t.test("forge script --slow waits for each transaction", async () => {
        const [, , deployer] = accounts;
        const args = [
            "--broadcast",
            "--slow",
            "--rpc-url",
            node.url,
            "--private-key",
            deployer.private_key,
        ];
        assert.match(
            await forge("script", "script/Deploy.s.sol", ...args),
            /ONCHAIN EXECUTION COMPLETE & SUCCESSFUL/,
        );
        assert.equal(await provider.getTransactionCount(deployer.address), 4);
    });
});
