// SPDX-License-Identifier: Apache-2.0
// Owns the proof that a receipt, once a client has it, survives `kill -9` at any moment: rounds of load, kill
// and restart over one data directory, with every answer that was received compared with what is there after.
import assert from "node:assert/strict";
import test from "node:test";

import { Interface } from "ethers";

import { accounts, ether, random, sign } from "./harness/accounts.mjs";
import { compile } from "./harness/contracts.mjs";
import { Node, millrace_only, start_node, temporary_dir } from "./harness/node.mjs";
import { HttpClient, RpcError, WsClient, sync_timeout_ms, wait_for } from "./harness/rpc.mjs";

const round_count = Number(process.env.E2E_CRASH_ROUNDS ?? 20);
const zero_hash = `0x${"0".repeat(64)}`;
const batch_calls_max = 100;
const value = 3n;

/** A sink of its own for each account: its balance tells how many transfers happened. */
const sink_of = (index) => `0x${(0xc0ffee00n + BigInt(index)).toString(16).padStart(40, "0")}`;

/** The receipt without the one field that may change while its block is open. */
const without_block_hash = (receipt) => {
    const strip = ({ blockHash, ...rest }) => rest;
    return { ...strip(receipt), logs: receipt.logs.map(strip) };
};

class Ledger {
    receipts = new Map();
    sent_nonce = new Map();
    differences = [];

    /**
     * Remembers a receipt that a client was given, and checks it against one seen before. Receipts of
     * the subscription come on a connection of their own (`late`), so one of the open block may be read
     * after another connection has delivered the sealed form.
     */
    take(receipt, { late = false } = {}) {
        const known = this.receipts.get(receipt.transactionHash);
        if (!known) {
            this.receipts.set(receipt.transactionHash, receipt);
            return;
        }
        const { blockHash } = receipt;
        try {
            assert.deepEqual(without_block_hash(receipt), without_block_hash(known));
            assert.ok(
                receipt.logs.every((log) => log.blockHash === blockHash),
                "a log has its receipt's block hash",
            );
            if (known.blockHash !== zero_hash && !(late && blockHash === zero_hash)) {
                assert.equal(blockHash, known.blockHash);
            }
        } catch (error) {
            this.differences.push(`${receipt.transactionHash}: ${error.message}`);
        }
        if (blockHash !== zero_hash) {
            this.receipts.set(receipt.transactionHash, receipt);
        }
    }
}

/** A lost connection is what the kill does to clients; anything else is an error of the node. */
const is_disconnect = (error) =>
    !(error instanceof RpcError) &&
    /ECONNRESET|ECONNREFUSED|EPIPE|socket hang up|closed/.test(`${error.code} ${error.message}`);

async function batches(rpc, calls) {
    const results = [];
    for (let i = 0; i < calls.length; i += batch_calls_max) {
        results.push(...(await rpc.batch(calls.slice(i, i + batch_calls_max))));
    }
    return results;
}

test("kill -9", { skip: millrace_only, timeout: 840_000 }, async (t) => {
    const next = random(t);
    const datadir = temporary_dir(t, "crash");
    const ledger = new Ledger();
    const tally = new Interface(compile("Tally").abi);
    const workers = accounts.slice(0, 8);
    let contract;

    /** Even nonces pay the sink and odd ones count in the contract, so a nonce tells the whole effect. */
    const transaction = (index, nonce) =>
        nonce % 2 === 0
            ? sign(workers[index], { nonce, to: sink_of(index), value })
            : sign(workers[index], {
                  nonce,
                  to: contract,
                  data: tally.encodeFunctionData("bump"),
                  gasLimit: 100_000n,
              });

    const load = async (port, index, state) => {
        const rpc = new HttpClient(port);
        const send = (raw) =>
            index < 4
                ? rpc.call("eth_sendRawTransactionSync", [raw, sync_timeout_ms])
                : rpc.call("realtime_sendRawTransaction", [raw]);
        try {
            let nonce = Number(
                await rpc.call("eth_getTransactionCount", [workers[index].address, "latest"]),
            );
            while (!state.killed) {
                const burst = index === 7 ? 16 : 1;
                const raw = await Promise.all(
                    Array.from({ length: burst }, (_, i) => transaction(index, nonce + i)),
                );
                ledger.sent_nonce.set(index, nonce + burst - 1);
                if (burst === 1) {
                    ledger.take(await send(raw[0]));
                } else {
                    const hashes = await rpc.batch(
                        raw.map((bytes) => ["eth_sendRawTransaction", [bytes]]),
                    );
                    for (const hash of hashes) {
                        let receipt = null;
                        while (!receipt && !state.killed) {
                            receipt = await rpc.call("eth_getTransactionReceipt", [hash]);
                        }
                        if (receipt) {
                            ledger.take(receipt);
                        }
                    }
                }
                nonce += burst;
                state.included += burst;
            }
        } catch (error) {
            if (!is_disconnect(error)) {
                state.errors.push(error);
            }
        } finally {
            rpc.close();
        }
    };

    const listen = async (node, state) => {
        try {
            const live = await WsClient.open(node.ws_url);
            live.socket.on("error", () => {}); // The kill ends this connection.
            await live.subscribe(["miniBlocks"], (mini_block) => {
                state.mini_blocks++;
                mini_block.receipts.forEach((receipt) => ledger.take(receipt, { late: true }));
            });
            return live;
        } catch (error) {
            if (!is_disconnect(error)) {
                state.errors.push(error);
            }
            return null;
        }
    };

    /** Everything that was promised is there. `hashes` narrows the receipts that are compared. */
    const verify = async (node, hashes) => {
        const rpc = new HttpClient(node.port);
        try {
            const found = await batches(
                rpc,
                hashes.map((hash) => ["eth_getTransactionReceipt", [hash]]),
            );
            found.forEach((receipt, i) => {
                assert.ok(receipt, `the receipt of ${hashes[i]} was given out and is gone`);
                assert.notEqual(receipt.blockHash, zero_hash, "recovery seals the open block");
                ledger.take(receipt);
            });
            assert.deepEqual(ledger.differences, []);

            for (const [index, account] of workers.entries()) {
                const nonce = Number(
                    await rpc.call("eth_getTransactionCount", [account.address, "latest"]),
                );
                const last_receipt = [...ledger.receipts.values()].filter(
                    (receipt) => receipt.from === account.address.toLowerCase(),
                ).length;
                assert.ok(
                    nonce >= last_receipt,
                    `nonce ${nonce} of account ${index}, ${last_receipt} receipts given`,
                );
                const sent = ledger.sent_nonce.get(index) ?? (index === 0 ? 0 : -1);
                assert.ok(
                    nonce <= sent + 1,
                    `nonce ${nonce} of account ${index}, sent up to ${sent}`,
                );
                const paid = BigInt(await rpc.call("eth_getBalance", [sink_of(index), "latest"]));
                // Account 0 spent nonce 0 on the deployment of the contract.
                const transfers = BigInt(Math.ceil(nonce / 2) - (index === 0 ? 1 : 0));
                assert.equal(paid, transfers * value, `account ${index} at nonce ${nonce}`);
                const data = tally.encodeFunctionData("count", [account.address]);
                const counted = BigInt(
                    await rpc.call("eth_call", [{ to: contract, data }, "latest"]),
                );
                assert.equal(
                    counted,
                    BigInt(Math.floor(nonce / 2)),
                    `account ${index} at nonce ${nonce}`,
                );
            }
        } finally {
            rpc.close();
        }
    };

    const verify_chain = async (node) => {
        const rpc = new HttpClient(node.port);
        try {
            const last = Number(await rpc.call("eth_blockNumber"));
            const numbers = Array.from(
                { length: last + 1 },
                (_, number) => `0x${number.toString(16)}`,
            );
            const blocks = await batches(
                rpc,
                numbers.map((number) => ["eth_getBlockByNumber", [number, false]]),
            );
            const places = new Map();
            blocks.forEach((block, number) => {
                assert.equal(Number(block.number), number);
                if (number > 0) {
                    assert.equal(block.parentHash, blocks[number - 1].hash);
                    assert.ok(
                        Number(block.timestamp) > Number(blocks[number - 1].timestamp),
                        "time goes forward",
                    );
                }
                block.transactions.forEach((hash, index) =>
                    places.set(hash, [block.hash, number, index]),
                );
            });
            for (const receipt of ledger.receipts.values()) {
                const place = [
                    receipt.blockHash,
                    Number(receipt.blockNumber),
                    Number(receipt.transactionIndex),
                ];
                assert.deepEqual(places.get(receipt.transactionHash), place);
            }
            const [genesis, supply] = [
                10_000n * ether * 10n,
                await batches(rpc, [
                    ...accounts.map((account) => ["eth_getBalance", [account.address, "latest"]]),
                    ...workers.map((_, index) => ["eth_getBalance", [sink_of(index), "latest"]]),
                ]),
            ];
            assert.ok(
                supply.reduce((sum, balance) => sum + BigInt(balance), 0n) <= genesis,
                "no ether was made",
            );
        } finally {
            rpc.close();
        }
    };

    let node = await start_node(t, { datadir });
    {
        const rpc = new HttpClient(node.port);
        const deploy = await sign(workers[0], {
            nonce: 0,
            to: null,
            data: compile("Tally").bytecode,
            gasLimit: 1_000_000n,
        });
        const receipt = await rpc.send_sync(deploy);
        assert.equal(receipt.status, "0x1");
        contract = receipt.contractAddress;
        ledger.take(receipt);
        rpc.close();
    }

    let mini_blocks = 0;
    let killed_while_starting = 0;
    for (let round = 0; round < round_count; round++) {
        const state = { killed: false, included: 0, mini_blocks: 0, errors: [] };
        const before = new Set(ledger.receipts.keys());
        const live = await listen(node, state);
        const running = workers.map((_, index) => load(node.port, index, state));
        await wait_for(() => state.included > 0 || state.errors.length > 0, "the first receipt");
        await new Promise((resolve) => setTimeout(resolve, next() * 1_400));
        const end = await node.stop("SIGKILL");
        state.killed = true;
        await Promise.all(running);
        live?.close();
        assert.equal(
            end.signal,
            "SIGKILL",
            `the node ended by itself before the kill:\n${node.log}`,
        );
        assert.deepEqual(state.errors, []);
        mini_blocks += state.mini_blocks;

        // Every fourth restart is itself killed at a random moment, so that recovery is interrupted too.
        if (round % 4 === 3) {
            const starting = new Node(0, datadir, []);
            await new Promise((resolve) => setTimeout(resolve, next() * 300));
            await starting.stop("SIGKILL");
            killed_while_starting++;
        }
        node = await start_node(t, { datadir });
        const fresh = [...ledger.receipts.keys()].filter((hash) => !before.has(hash));
        const older = [...before].filter(() => next() < 200 / Math.max(200, before.size));
        await verify(node, [...fresh, ...older]);
    }
    await verify(node, [...ledger.receipts.keys()]);
    await verify_chain(node);
    assert.ok(mini_blocks > 0, "the subscription delivered mini-blocks");
    const stopped = await node.stop("SIGTERM");
    assert.equal(stopped.code, 0);
    t.diagnostic(
        `${round_count} kills under load, ${killed_while_starting} while starting, ` +
            `${ledger.receipts.size} receipts given out, ${mini_blocks} mini-blocks streamed, none lost or changed`,
    );
});
