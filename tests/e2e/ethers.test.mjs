// SPDX-License-Identifier: Apache-2.0
// Owns the proof that ethers works against the node: tx.wait(), deployment, events, WebSocket.
import assert from "node:assert/strict";
import test from "node:test";

import { ContractFactory, JsonRpcProvider, WebSocketProvider, Wallet, parseEther } from "ethers";

import { accounts, chain_id } from "./harness/accounts.mjs";
import { compile } from "./harness/contracts.mjs";
import { start_node } from "./harness/node.mjs";
import { wait_for } from "./harness/rpc.mjs";

test("ethers", async (t) => {
    const node = await start_node(t);
    const provider = new JsonRpcProvider(node.url, undefined, {
        pollingInterval: 50,
        cacheTimeout: -1,
    });
    const live = new WebSocketProvider(node.ws_url);
    t.after(async () => {
        provider.destroy();
        await live.destroy();
    });
    const wallet = new Wallet(accounts[5].private_key, provider);
    const receiver = accounts[6].address;
    const { abi, bytecode } = compile("Counter");
    let counter;

    await t.test("the network is detected", async () => {
        assert.equal((await provider.getNetwork()).chainId, BigInt(chain_id));
    });

    await t.test("tx.wait() returns the receipt of a transfer", { timeout: 120_000 }, async () => {
        const before = await provider.getBalance(receiver);
        const sent = await wallet.sendTransaction({ to: receiver, value: parseEther("0.25") });
        const receipt = await sent.wait();
        assert.equal(receipt.status, 1);
        assert.equal(receipt.hash, sent.hash);
        assert.equal(receipt.gasUsed, 21_000n);
        assert.equal((await provider.getBalance(receiver)) - before, parseEther("0.25"));
        const found = await provider.getTransaction(sent.hash);
        assert.equal(found.nonce, sent.nonce);
        const sealed = await wait_for(async () => {
            const block = await provider.getBlock(receipt.blockNumber);
            return block?.transactions.includes(sent.hash) ? block : null;
        }, "the sealed block with the transaction");
        assert.equal((await provider.getTransactionReceipt(sent.hash)).blockHash, sealed.hash);
    });

    await t.test("a contract deploys, changes and answers", { timeout: 120_000 }, async () => {
        const factory = new ContractFactory(abi, bytecode, wallet);
        counter = await factory.deploy(10);
        await counter.waitForDeployment();
        assert.equal(await counter.number(), 10n);
        const receipt = await (await counter.set(20)).wait();
        assert.equal(await counter.number(), 20n);
        assert.equal(receipt.logs.length, 1);
        assert.deepEqual(receipt.logs[0].args.toArray(), [wallet.address, 20n]);
    });

    await t.test("queryFilter finds the event, also by its indexed argument", async () => {
        const mine = await wait_for(async () => {
            const found = await counter.queryFilter(
                counter.filters.Changed(wallet.address),
                0,
                "latest",
            );
            return found.length ? found : null;
        }, "the event in a sealed block");
        assert.equal(mine.length, 1);
        assert.equal(mine[0].args.number, 20n);
        assert.equal(
            (await counter.queryFilter(counter.filters.Changed(receiver), 0, "latest")).length,
            0,
        );
    });

    await t.test("a listener over WebSocket hears the event", { timeout: 120_000 }, async () => {
        const heard = [];
        const remote = counter.connect(live);
        await remote.on("Changed", (by, number) => heard.push([by, number]));
        await (await counter.increment()).wait();
        await wait_for(() => heard.length, "the event");
        await remote.removeAllListeners();
        assert.deepEqual(heard, [[wallet.address, 21n]]);
    });

    await t.test("a block listener over WebSocket counts up", { timeout: 120_000 }, async () => {
        const numbers = [];
        await live.on("block", (number) => numbers.push(number));
        await live.getBlockNumber(); // The subscription is made before this answer.
        for (let i = 0; i < 2; i++) {
            await (await wallet.sendTransaction({ to: receiver, value: 1 })).wait();
        }
        await wait_for(() => numbers.length >= 2, "two blocks");
        await live.removeAllListeners("block");
        for (let i = 1; i < numbers.length; i++) {
            assert.equal(numbers[i], numbers[i - 1] + 1);
        }
    });

    await t.test("a custom error carries its arguments", async () => {
        await assert.rejects(counter.set.staticCall(2_000), (error) => {
            assert.equal(error.code, "CALL_EXCEPTION");
            assert.equal(error.revert.name, "TooLarge");
            assert.deepEqual(error.revert.args.toArray(), [2_000n, 1_000n]);
            return true;
        });
    });

    await t.test(
        "a reverted transaction rejects wait() and has a receipt of status 0",
        { timeout: 120_000 },
        async () => {
            const sent = await counter.set(2_000, { gasLimit: 100_000 });
            await assert.rejects(sent.wait(), (error) => {
                assert.equal(error.code, "CALL_EXCEPTION");
                assert.equal(error.receipt.status, 0);
                return true;
            });
            assert.equal(await counter.number(), 21n);
        },
    );

    await t.test(
        "ten transactions sent at once are all included in nonce order",
        { timeout: 120_000 },
        async () => {
            const first = await wallet.getNonce();
            const sent = await Promise.all(
                Array.from({ length: 10 }, (_, i) =>
                    wallet.sendTransaction({ to: receiver, value: i, nonce: first + i }),
                ),
            );
            const receipts = await Promise.all(sent.map((transaction) => transaction.wait()));
            const places = receipts.map((receipt) => receipt.blockNumber * 1e6 + receipt.index);
            assert.deepEqual(
                places,
                [...places].sort((a, b) => a - b),
            );
            assert.equal(await wallet.getNonce(), first + 10);
        },
    );

    await t.test("a nonce that was used and a balance that is too small are refused", async () => {
        await assert.rejects(
            wallet.sendTransaction({ to: receiver, value: 1, nonce: 0, gasLimit: 21_000 }),
            {
                code: "NONCE_EXPIRED",
            },
        );
        await assert.rejects(
            wallet.sendTransaction({ to: receiver, value: parseEther("20000"), gasLimit: 21_000 }),
            {
                code: "INSUFFICIENT_FUNDS",
            },
        );
    });
});
