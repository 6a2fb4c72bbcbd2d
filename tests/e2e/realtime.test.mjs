// SPDX-License-Identifier: Apache-2.0
// Owns the proof of the real-time API: synchronous sending, mini-blocks, state changes, pending logs, and
// what a client sees of a block while it is open.
import assert from "node:assert/strict";
import test from "node:test";

import { Interface } from "ethers";

import { accounts, sign } from "./harness/accounts.mjs";
import { compile } from "./harness/contracts.mjs";
import { millrace_only, start_node } from "./harness/node.mjs";
import { HttpClient, WsClient, wait_for } from "./harness/rpc.mjs";

const zero_hash = `0x${"0".repeat(64)}`;
const hex = (value) => `0x${value.toString(16)}`;

test("the real-time API", async (t) => {
    const node = await start_node(t);
    const rpc = new HttpClient(node.port);
    const live = await WsClient.open(node.ws_url);
    t.after(() => {
        rpc.close();
        live.close();
    });
    const [sender, receiver] = accounts;
    let nonce = 0;
    const transfer = (fields = {}) =>
        sign(sender, { nonce: nonce++, to: receiver.address, value: 5n, ...fields });
    const tally = compile("Tally");
    const tally_abi = new Interface(tally.abi);
    const count_data = tally_abi.encodeFunctionData("bump");
    let contract;

    await t.test(
        "eth_sendRawTransactionSync gives the receipt that eth_getTransactionReceipt gives",
        async () => {
            const receipt = await rpc.send_sync(await transfer());
            assert.equal(receipt.status, "0x1");
            assert.equal(receipt.gasUsed, "0x5208");
            assert.equal(receipt.from, sender.address.toLowerCase());
            assert.equal(receipt.to, receiver.address.toLowerCase());
            assert.deepEqual(receipt.logs, []);
            assert.match(receipt.logsBloom, /^0x0{512}$/);
            const again = await rpc.call("eth_getTransactionReceipt", [receipt.transactionHash]);
            assert.deepEqual({ ...again, blockHash: "" }, { ...receipt, blockHash: "" });
        },
    );

    await t.test("it answers an invalid transaction with an error at once", async () => {
        const stale = await sign(sender, { nonce: 0, to: receiver.address });
        await assert.rejects(rpc.call("eth_sendRawTransactionSync", [stale]), /nonce too low/);
        await assert.rejects(rpc.call("eth_sendRawTransactionSync", ["0x02c0"]));
    });

    await t.test(
        "realtime_sendRawTransaction gives a receipt",
        { skip: millrace_only },
        async () => {
            const receipt = await rpc.call("realtime_sendRawTransaction", [await transfer()]);
            assert.equal(receipt.status, "0x1");
            const again = await rpc.call("eth_getTransactionReceipt", [receipt.transactionHash]);
            assert.deepEqual({ ...again, blockHash: "" }, { ...receipt, blockHash: "" });
        },
    );

    await t.test(
        "a transaction that cannot run yet times out with its hash",
        { skip: millrace_only, timeout: 120_000 },
        async () => {
            const gap = await sign(accounts[7], { nonce: 5, to: receiver.address });
            const start = performance.now();
            const slow = rpc.call("realtime_sendRawTransaction", [
                await sign(accounts[8], { nonce: 9, to: receiver.address }),
            ]);
            let slow_ended = false;
            const ended = () => (slow_ended = true);
            slow.then(ended, ended);
            const other = new HttpClient(node.port);
            const answer = await other.answer("eth_sendRawTransactionSync", [gap, 300]);
            other.close();
            assert.ok([4, 5].includes(answer.error?.code), JSON.stringify(answer));
            assert.match(answer.error.data, /^0x[0-9a-f]{64}$/);
            assert.ok(!slow_ended, "the 300 ms that were asked for are over before the 10 s");
            await assert.rejects(slow, (error) => {
                assert.equal(error.code, -32000);
                assert.match(error.message, /realtime transaction expired/);
                return true;
            });
            assert.ok(performance.now() - start > 9_000);
        },
    );

    await t.test("a contract is deployed in one round trip", async () => {
        const raw = await transfer({
            to: null,
            value: 0n,
            data: tally.bytecode,
            gasLimit: 1_000_000n,
        });
        const receipt = await rpc.send_sync(raw);
        assert.equal(receipt.status, "0x1");
        contract = receipt.contractAddress;
        assert.ok((await rpc.call("eth_getCode", [contract, "latest"])).length > 100);
    });

    await t.test(
        "state at latest and pending has a transfer as soon as its receipt is out",
        async () => {
            const read = (tag) => rpc.call("eth_getBalance", [receiver.address, tag]).then(BigInt);
            for (let i = 0; i < 10; i++) {
                const before = await read("latest");
                await rpc.send_sync(await transfer());
                assert.equal(await read("latest"), before + 5n);
                assert.equal(await read("pending"), before + 5n);
                assert.equal(
                    await rpc.call("eth_getTransactionCount", [sender.address, "latest"]),
                    hex(nonce),
                );
            }
        },
    );

    await t.test(
        "an open block shows the zero hash, the sealed one its hash",
        { skip: millrace_only, timeout: 120_000 },
        async () => {
            // A node of its own, whose block stays open until it is told to seal it.
            const node = await start_node(t, { args: ["--block-ms", "600000"] });
            const rpc = new HttpClient(node.port);
            const live = await WsClient.open(node.ws_url);
            t.after(() => {
                rpc.close();
                live.close();
            });
            const heads = [];
            await live.subscribe(["newHeads"], (head) => heads.push(head));
            const raw = await sign(sender, { nonce: 0, to: receiver.address, value: 5n });
            const receipt = await rpc.send_sync(raw);
            const hash = receipt.transactionHash;
            assert.equal(receipt.blockHash, zero_hash);
            const number = Number(receipt.blockNumber);
            assert.equal((await rpc.call("eth_getTransactionByHash", [hash])).blockHash, zero_hash);
            assert.equal(await rpc.call("eth_getBlockByNumber", [hex(number), false]), null);
            const pending = await rpc.call("eth_getBlockByNumber", ["pending", false]);
            assert.equal(Number(pending.number), number);
            assert.ok(pending.transactions.includes(hash));
            const latest = await rpc.call("eth_getBlockByNumber", ["latest", false]);
            assert.equal(Number(latest.number), number - 1);
            const at_number = await rpc.call("eth_getTransactionCount", [
                sender.address,
                latest.number,
            ]);
            assert.equal(Number(at_number), 0, "a number means the sealed block's state");

            await rpc.call("evm_mine");
            const head = await wait_for(
                () => heads.find((seen) => Number(seen.number) === number),
                "the seal",
            );
            assert.equal(
                typeof head.miniBlockCount === "string"
                    ? Number(head.miniBlockCount)
                    : head.miniBlockCount,
                1,
            );
            const sealed = await rpc.call("eth_getTransactionReceipt", [hash]);
            assert.deepEqual(sealed, { ...receipt, blockHash: head.hash });
            const block = await rpc.call("eth_getBlockByHash", [head.hash, true]);
            assert.ok(block.transactions.some((transaction) => transaction.hash === hash));
        },
    );

    await t.test(
        "a block is sealed every second, empty or not",
        { skip: millrace_only, timeout: 120_000 },
        async () => {
            const heads = [];
            const start = performance.now();
            const id = await live.subscribe(["newHeads"], (head) => heads.push(head));
            await wait_for(() => heads.length >= 5, "five heads");
            const elapsed_s = (performance.now() - start) / 1_000;
            await live.call("eth_unsubscribe", [id]);
            for (let i = 1; i < 5; i++) {
                assert.equal(Number(heads[i].number), Number(heads[i - 1].number) + 1);
                assert.equal(heads[i].parentHash, heads[i - 1].hash);
                assert.ok(Number(heads[i].timestamp) > Number(heads[i - 1].timestamp));
            }
            // The second of them was opened after the subscription began.
            const span_s = Number(heads[4].timestamp) - Number(heads[1].timestamp);
            assert.ok(span_s <= elapsed_s + 1, `blocks of ${elapsed_s} s span ${span_s} s`);
        },
    );

    await t.test(
        "preview streams what the mini-blocks make durable, and says that it is not yet",
        { skip: millrace_only, timeout: 120_000 },
        async () => {
            const previews = [];
            const hashes = [];
            const ids = [
                await live.subscribe(["preview"], (preview) => previews.push(preview)),
                await live.subscribe(["miniBlocks", { hashesOnly: true }], (mini_block) => {
                    assert.equal(mini_block.preview, undefined);
                    assert.equal(mini_block.receipts, undefined);
                    hashes.push(...mini_block.transactions);
                }),
            ];
            const receipts = [];
            for (let i = 0; i < 10; i++) receipts.push(await rpc.send_sync(await transfer()));
            const sent = receipts.map((receipt) => receipt.transactionHash);
            await wait_for(() => hashes.length >= 10, "ten hashes");
            for (const id of ids) await live.call("eth_unsubscribe", [id]);
            assert.deepEqual(hashes, sent);
            for (const preview of previews) {
                assert.equal(preview.preview, true);
                assert.equal(preview.durable, false);
                assert.equal(preview.mini_block_number, undefined);
            }
            const previewed = previews.flatMap((preview) => preview.receipts);
            assert.deepEqual(
                previewed.map((receipt) => ({ ...receipt, blockHash: "" })),
                receipts.map((receipt) => ({ ...receipt, blockHash: "" })),
            );
        },
    );

    await t.test(
        "miniBlocks streams every transaction once, in order, with its receipt",
        { skip: millrace_only, timeout: 120_000 },
        async () => {
            const mini_blocks = [];
            const id = await live.subscribe(["miniBlocks"], (mini_block) =>
                mini_blocks.push(mini_block),
            );
            const receipts = [];
            for (let i = 0; i < 30; i++) {
                const raw =
                    i % 2
                        ? await transfer()
                        : await transfer({
                              to: contract,
                              value: 0n,
                              data: count_data,
                              gasLimit: 100_000n,
                          });
                receipts.push(await rpc.send_sync(raw));
            }
            const streamed = () => mini_blocks.flatMap((mini_block) => mini_block.receipts);
            await wait_for(() => streamed().length >= 30, "thirty receipts");
            await live.call("eth_unsubscribe", [id]);
            assert.deepEqual(
                streamed().map((receipt) => receipt.transactionHash),
                receipts.map((receipt) => receipt.transactionHash),
            );
            assert.deepEqual(
                streamed().map((receipt) => ({
                    ...receipt,
                    blockHash: "",
                    logs: receipt.logs.length,
                })),
                receipts.map((receipt) => ({
                    ...receipt,
                    blockHash: "",
                    logs: receipt.logs.length,
                })),
            );
            mini_blocks.forEach((mini_block, i) => {
                for (const key of [
                    "block_number",
                    "block_timestamp",
                    "index",
                    "mini_block_number",
                    "mini_block_timestamp",
                    "gas_used",
                ]) {
                    assert.ok(key in mini_block, `${key} is missing`);
                }
                assert.ok(mini_block.transactions.length > 0, "empty mini-blocks are not made");
                assert.deepEqual(
                    mini_block.transactions.map((transaction) => transaction.hash),
                    mini_block.receipts.map((receipt) => receipt.transactionHash),
                );
                assert.ok(
                    mini_block.receipts.every(
                        (receipt) =>
                            Number(receipt.blockNumber) === Number(mini_block.block_number),
                    ),
                );
                assert.equal(
                    Number(mini_block.gas_used),
                    mini_block.receipts.reduce((sum, receipt) => sum + Number(receipt.gasUsed), 0),
                );
                if (i > 0) {
                    const last = mini_blocks[i - 1];
                    assert.equal(
                        Number(mini_block.mini_block_number),
                        Number(last.mini_block_number) + 1,
                    );
                    assert.ok(
                        Number(mini_block.mini_block_timestamp) > Number(last.mini_block_timestamp),
                    );
                    const same = Number(mini_block.block_number) === Number(last.block_number);
                    assert.equal(Number(mini_block.index), same ? Number(last.index) + 1 : 0);
                }
            });
            const now_us = Date.now() * 1_000;
            const age_us = now_us - Number(mini_blocks.at(-1).mini_block_timestamp);
            assert.ok(
                age_us > -2e6 && age_us < 60e6,
                `the time stamp is in microseconds (age ${age_us} us)`,
            );
        },
    );

    await t.test(
        "stateChanges gives balance, nonce and storage of the addresses asked for",
        { skip: millrace_only, timeout: 120_000 },
        async () => {
            const changes = [];
            const id = await live.subscribe(
                ["stateChanges", [contract, receiver.address]],
                (change) => changes.push(change),
            );
            await rpc.send_sync(await transfer());
            const receipt = await rpc.send_sync(
                await transfer({ to: contract, value: 0n, data: count_data, gasLimit: 100_000n }),
            );
            await wait_for(() => changes.length >= 2, "two changes");
            await live.call("eth_unsubscribe", [id]);
            const of = (address) =>
                changes
                    .filter((change) => change.address.toLowerCase() === address.toLowerCase())
                    .at(-1);
            assert.equal(
                of(sender.address),
                undefined,
                "addresses that were not asked for are not sent",
            );
            const paid = of(receiver.address);
            assert.equal(paid.nonce, 0, "the nonce is a JSON number");
            assert.equal(
                BigInt(paid.balance),
                BigInt(await rpc.call("eth_getBalance", [receiver.address, "latest"])),
            );
            assert.deepEqual(Object.keys(of(contract).storage).length, 1);
            const [[slot, written]] = Object.entries(of(contract).storage);
            assert.equal(BigInt(written), BigInt(receipt.logs[0].data));
            assert.equal(
                BigInt(await rpc.call("eth_getStorageAt", [contract, slot, "latest"])),
                BigInt(written),
            );
        },
    );

    await t.test(
        "logs from pending arrive with their mini-block",
        { skip: millrace_only, timeout: 120_000 },
        async () => {
            const logs = [];
            const filter = { address: contract, fromBlock: "pending", toBlock: "pending" };
            const id = await live.subscribe(["logs", filter], (log) => logs.push(...[log].flat()));
            const receipt = await rpc.send_sync(
                await transfer({ to: contract, value: 0n, data: count_data, gasLimit: 100_000n }),
            );
            await wait_for(() => logs.length, "the log");
            await live.call("eth_unsubscribe", [id]);
            assert.equal(logs[0].blockHash, zero_hash, "not only when the block is sealed");
            assert.equal(logs[0].transactionHash, receipt.transactionHash);
            assert.equal(logs[0].data, receipt.logs[0].data);
        },
    );

    await t.test("newPendingTransactions names a transaction", async () => {
        const hashes = [];
        const id = await live.subscribe(["newPendingTransactions"], (hash) => hashes.push(hash));
        const hash = await rpc.call("eth_sendRawTransaction", [await transfer()]);
        await wait_for(() => hashes.includes(hash), "the hash");
        await live.call("eth_unsubscribe", [id]);
    });

    await t.test("after eth_unsubscribe nothing more is sent", async () => {
        let count = 0;
        const id = await live.subscribe(["newHeads"], () => count++);
        assert.equal(await live.call("eth_unsubscribe", [id]), true);
        const seen = count;
        await rpc.send_sync(await transfer());
        await new Promise((resolve) => setTimeout(resolve, 1_500));
        await live.call("eth_chainId");
        assert.equal(count, seen);
        assert.equal(await live.call("eth_unsubscribe", [id]).catch(() => false), false);
    });
});

test(
    "a receipt does not wait for the EVM block",
    { skip: millrace_only, timeout: 120_000 },
    async (t) => {
        const node = await start_node(t, { args: ["--block-ms", "600000"] });
        const rpc = new HttpClient(node.port);
        t.after(() => rpc.close());
        const latencies = [];
        for (let nonce = 0; nonce < 20; nonce++) {
            const raw = await sign(accounts[0], { nonce, to: accounts[1].address });
            const start = performance.now();
            await rpc.send_sync(raw);
            latencies.push(performance.now() - start);
        }
        latencies.sort((a, b) => a - b);
        t.diagnostic(`median ${latencies[10].toFixed(2)} ms, max ${latencies[19].toFixed(2)} ms`);
    },
);
