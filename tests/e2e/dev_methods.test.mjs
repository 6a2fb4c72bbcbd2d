// SPDX-License-Identifier: Apache-2.0
// Owns the proof of the methods that Foundry and Hardhat ask of a development node.
import assert from "node:assert/strict";
import test from "node:test";

import { accounts, ether, sign } from "./harness/accounts.mjs";
import { compile } from "./harness/contracts.mjs";
import { start_node } from "./harness/node.mjs";
import { HttpClient } from "./harness/rpc.mjs";

const hex = (value) => `0x${value.toString(16)}`;
const word = (value) => `0x${value.toString(16).padStart(64, "0")}`;

test("development methods", async (t) => {
    const node = await start_node(t);
    const rpc = new HttpClient(node.port);
    t.after(() => rpc.close());
    const [sender, receiver] = accounts;
    const stranger = "0x00000000000000000000000000000000c0ffee11";
    let nonce = 0;
    const transfer = (fields) =>
        sign(sender, { nonce: nonce++, to: receiver.address, ...fields }).then((raw) =>
            rpc.send_sync(raw),
        );
    const balance = (address, tag = "latest") =>
        rpc.call("eth_getBalance", [address, tag]).then(BigInt);

    await t.test(
        "anvil_setBalance, setNonce, setCode and setStorageAt show at latest",
        async () => {
            await rpc.call("anvil_setBalance", [stranger, hex(7n * ether)]);
            assert.equal(await balance(stranger), 7n * ether);
            await rpc.call("anvil_setNonce", [stranger, "0x9"]);
            assert.equal(await rpc.call("eth_getTransactionCount", [stranger, "latest"]), "0x9");
            // PUSH1 0 SLOAD PUSH1 0 MSTORE PUSH1 32 PUSH1 0 RETURN
            const code = "0x60005460005260206000f3";
            const contract = "0x00000000000000000000000000000000c0ffee22";
            await rpc.call("anvil_setCode", [contract, code]);
            assert.equal(await rpc.call("eth_getCode", [contract, "latest"]), code);
            await rpc.call("anvil_setStorageAt", [contract, word(0), word(1234)]);
            assert.equal(
                await rpc.call("eth_getStorageAt", [contract, "0x0", "latest"]),
                word(1234),
            );
            assert.equal(await rpc.call("eth_call", [{ to: contract }, "latest"]), word(1234));
        },
    );

    await t.test(
        "an impersonated account sends without a key, and only while impersonated",
        async () => {
            const call = { from: stranger, to: receiver.address, value: hex(ether), gas: "0x5208" };
            await assert.rejects(rpc.call("eth_sendTransaction", [call]));
            await rpc.call("anvil_impersonateAccount", [stranger]);
            const before = await balance(receiver.address);
            const hash = await rpc.call("eth_sendTransaction", [call]);
            let receipt = null;
            while (!receipt) {
                receipt = await rpc.call("eth_getTransactionReceipt", [hash]);
            }
            assert.equal(receipt.status, "0x1");
            assert.equal(receipt.from, stranger);
            assert.equal((await rpc.call("eth_getTransactionByHash", [hash])).nonce, "0x9");
            assert.equal(await balance(receiver.address), before + ether);
            await rpc.call("anvil_stopImpersonatingAccount", [stranger]);
            await assert.rejects(rpc.call("eth_sendTransaction", [call]));
        },
    );

    await t.test("evm_revert takes back everything since evm_snapshot", async () => {
        const before = { receiver: await balance(receiver.address), nonce };
        const id = await rpc.call("evm_snapshot");
        const receipt = await transfer({ value: ether });
        await rpc.call("anvil_setBalance", [stranger, "0x1"]);
        assert.equal(await balance(receiver.address), before.receiver + ether);
        assert.equal(await rpc.call("evm_revert", [id]), true);
        nonce = before.nonce;
        assert.equal(await balance(receiver.address), before.receiver);
        assert.notEqual(await balance(stranger), 1n);
        assert.equal(await rpc.call("eth_getTransactionReceipt", [receipt.transactionHash]), null);
        assert.equal(
            await rpc.call("eth_getTransactionCount", [sender.address, "latest"]),
            hex(nonce),
        );
        // The chain goes on from there.
        await transfer({ value: 2n });
        assert.equal(await balance(receiver.address), before.receiver + 2n);
        assert.equal(await rpc.call("evm_revert", [id]), false, "a snapshot serves once");
    });

    await t.test("evm_mine makes a block", async () => {
        const before = Number(await rpc.call("eth_blockNumber"));
        await rpc.call("evm_mine");
        const after = Number(await rpc.call("eth_blockNumber"));
        assert.ok(after > before, `${before} to ${after}`);
    });

    await t.test("evm_increaseTime moves the next block's time, and contracts see it", async () => {
        const time = async () =>
            Number((await rpc.call("eth_getBlockByNumber", ["latest", false])).timestamp);
        await rpc.call("evm_mine");
        const before = await time();
        await rpc.call("evm_increaseTime", [hex(3_600)]);
        await rpc.call("evm_mine");
        await rpc.call("evm_mine");
        const moved = (await time()) - before;
        assert.ok(moved >= 3_600 && moved < 3_700, `${moved} s`);
        // TIMESTAMP PUSH1 0 MSTORE PUSH1 32 PUSH1 0 RETURN
        const clock = "0x00000000000000000000000000000000c0ffee33";
        await rpc.call("anvil_setCode", [clock, "0x4260005260206000f3"]);
        const seen = Number(await rpc.call("eth_call", [{ to: clock }, "latest"]));
        assert.ok(seen - before >= 3_600, `${seen - before} s`);
    });

    await t.test("a snapshot keeps the storage of a contract", async () => {
        const { bytecode } = compile("Counter");
        const { contractAddress } = await transfer({
            to: null,
            data: bytecode + word(1).slice(2),
            gasLimit: 1_000_000n,
        });
        const id = await rpc.call("evm_snapshot");
        const kept = nonce;
        await transfer({
            to: contractAddress,
            data: `0x60fe47b1${word(42).slice(2)}`,
            gasLimit: 100_000n,
        });
        assert.equal(
            await rpc.call("eth_getStorageAt", [contractAddress, "0x0", "latest"]),
            word(42),
        );
        assert.equal(await rpc.call("evm_revert", [id]), true);
        nonce = kept;
        assert.equal(
            await rpc.call("eth_getStorageAt", [contractAddress, "0x0", "latest"]),
            word(1),
        );
    });
});
