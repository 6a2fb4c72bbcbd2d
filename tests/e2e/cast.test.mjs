// SPDX-License-Identifier: Apache-2.0
// Owns the proof that Foundry's cast works against the node: send, call, balance, receipt, block, logs.
import assert from "node:assert/strict";
import test from "node:test";

import { accounts, chain_id, ether } from "./harness/accounts.mjs";
import { compile } from "./harness/contracts.mjs";
import { foundry, start_node, temporary_dir } from "./harness/node.mjs";

test("cast", async (t) => {
    const node = await start_node(t);
    const home = temporary_dir(t, "home");
    const cast = (...args) => foundry("cast", args, { home, env: { ETH_RPC_URL: node.url } });
    const [sender, receiver] = accounts;
    const counter = compile("Counter");
    let deployed;

    await t.test("reads the chain id and a funded balance", async () => {
        assert.equal(await cast("chain-id"), `${chain_id}`);
        assert.equal(await cast("balance", sender.address), `${10_000n * ether}`);
        assert.equal(await cast("nonce", sender.address), "0");
    });

    await t.test("send moves ether and prints a successful receipt", async () => {
        const receipt = JSON.parse(
            await cast(
                "send",
                receiver.address,
                "--value",
                "3ether",
                "--private-key",
                sender.private_key,
                "--json",
            ),
        );
        assert.equal(BigInt(receipt.status), 1n);
        assert.equal(BigInt(receipt.gasUsed), 21_000n);
        assert.equal(receipt.from.toLowerCase(), sender.address.toLowerCase());
        assert.equal(receipt.to.toLowerCase(), receiver.address.toLowerCase());
        assert.equal(await cast("balance", receiver.address), `${10_003n * ether}`);
        const fee = BigInt(receipt.gasUsed) * BigInt(receipt.effectiveGasPrice);
        assert.equal(await cast("balance", sender.address), `${9_997n * ether - fee}`);
        assert.equal(await cast("nonce", sender.address), "1");

        const again = JSON.parse(await cast("receipt", receipt.transactionHash, "--json"));
        assert.equal(again.transactionHash, receipt.transactionHash);
        const transaction = JSON.parse(await cast("tx", receipt.transactionHash, "--json"));
        assert.equal(BigInt(transaction.value), 3n * ether);
    });

    await t.test("send --legacy works too", async () => {
        const receipt = JSON.parse(
            await cast(
                "send",
                receiver.address,
                "--value",
                "1",
                "--legacy",
                "--private-key",
                sender.private_key,
                "--json",
            ),
        );
        assert.equal(BigInt(receipt.status), 1n);
        assert.equal(BigInt(receipt.type), 0n);
        assert.equal(await cast("balance", receiver.address), `${10_003n * ether + 1n}`);
    });

    await t.test("send --create deploys a contract", async () => {
        const code = counter.bytecode + "7".padStart(64, "0");
        const receipt = JSON.parse(
            await cast("send", "--private-key", sender.private_key, "--json", "--create", code),
        );
        assert.equal(BigInt(receipt.status), 1n);
        deployed = receipt.contractAddress;
        assert.match(await cast("code", deployed), /^0x60/);
        assert.equal(await cast("storage", deployed, "0"), `0x${"7".padStart(64, "0")}`);
    });

    await t.test("call reads what send wrote, and the event is in the log", async () => {
        assert.equal(await cast("call", deployed, "number()(uint256)"), "7");
        await cast("send", deployed, "set(uint256)", "99", "--private-key", sender.private_key);
        assert.equal(await cast("call", deployed, "number()(uint256)"), "99");
        // Logs up to `latest` are those of sealed blocks, so the event may be a second away.
        let logs = [];
        for (const end = Date.now() + 5_000; logs.length === 0 && Date.now() < end; ) {
            logs = JSON.parse(
                await cast(
                    "logs",
                    "--from-block",
                    "0",
                    "--address",
                    deployed,
                    "Changed(address indexed, uint256)",
                    "--json",
                ),
            );
        }
        assert.equal(logs.length, 1);
        assert.equal(BigInt(logs[0].data), 99n);
        assert.equal(BigInt(logs[0].topics[1]), BigInt(sender.address));
    });

    await t.test("a revert is reported with its data", async () => {
        await assert.rejects(cast("call", deployed, "set(uint256)", "1001"), (error) => {
            // TooLarge(1001, 1000)
            assert.match(error.message, /reverted/);
            assert.match(error.message, new RegExp(`${(1001).toString(16).padStart(64, "0")}`));
            return true;
        });
    });

    await t.test("estimate, gas price and block answer", async () => {
        assert.equal(
            await cast("estimate", receiver.address, "--value", "1", "--from", sender.address),
            "21000",
        );
        assert.ok(BigInt(await cast("gas-price")) > 0n);
        const block = JSON.parse(await cast("block", "0", "--json"));
        assert.equal(BigInt(block.number), 0n);
        assert.match(block.stateRoot, /^0x[0-9a-f]{64}$/);
    });
});
