// SPDX-License-Identifier: Apache-2.0
// Owns the proof that a receipt, once a client has it, survives `kill -9` at any moment: rounds of load, kill
// and restart over one data directory, with every answer that was received compared with what is there after.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { Interface } from "ethers";

import { accounts, ether, random, sign } from "./harness/accounts.mjs";
import { compile } from "./harness/contracts.mjs";
import { Generator, Node, millrace_only, start_node, temporary_dir } from "./harness/node.mjs";
import { HttpClient, RpcError, WsClient, sync_timeout_ms, wait_for } from "./harness/rpc.mjs";

const round_count = Number(process.env.E2E_CRASH_ROUNDS ?? 20);
const loaded_round_count = Number(process.env.E2E_CRASH_LOADED_ROUNDS ?? 3);
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

/** What there is to know of a receipt of the generator: there are too many to keep them whole. */
const digest_of = (receipt) => ({
    transactionHash: receipt.transactionHash,
    from: receipt.from,
    blockHash: receipt.blockHash,
    blockNumber: receipt.blockNumber,
    transactionIndex: receipt.transactionIndex,
    digest: createHash("sha256")
        .update(JSON.stringify(without_block_hash(receipt)))
        .digest("base64"),
});

class Ledger {
    /** As they came for `own` senders (addresses in lower case), digests of all others. */
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
        const own = this.own.has(receipt.from);
        const kept = own ? receipt : digest_of(receipt);
        if (!known) {
            this.receipts.set(receipt.transactionHash, kept);
            return;
        }
        const { blockHash } = receipt;
        try {
            if (own) {
                assert.deepEqual(without_block_hash(receipt), without_block_hash(known));
            } else {
                assert.equal(kept.digest, known.digest, JSON.stringify(receipt));
            }
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
            this.receipts.set(receipt.transactionHash, kept);
        }
    }

    constructor(own) {
        this.own = new Set(own);
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

/** Everything that the log alone says: the node makes the rest of the directory anew, and recomputes every root. */
async function start_from_log(t, datadir) {
    const copy = path.join(temporary_dir(t, "crash-log"), "data");
    mkdirSync(copy);
    for (const name of ["FORMAT", "wal"]) {
        cpSync(path.join(datadir, name), path.join(copy, name), { recursive: true });
    }
    return start_node(t, { datadir: copy, args: workers_args });
}

/** Nonces and balances of all who ever sent, computed from the transactions and receipts of the chain. */
async function verify_accounts(rpc, last) {
    const nonces = new Map();
    const balances = new Map(
        accounts.map(({ address }) => [address.toLowerCase(), 10_000n * ether]),
    );
    const move = (address, amount) =>
        balances.set(address, (balances.get(address) ?? 0n) + amount);
    for (let number = 1; number <= last; number++) {
        const id = `0x${number.toString(16)}`;
        const [block, receipts] = await rpc.batch([
            ["eth_getBlockByNumber", [id, true]],
            ["eth_getBlockReceipts", [id]],
        ]);
        assert.equal(block.transactions.length, receipts.length);
        block.transactions.forEach((tx, i) => {
            const receipt = receipts[i];
            assert.equal(receipt.transactionHash, tx.hash);
            assert.equal(Number(tx.nonce), nonces.get(tx.from) ?? 0, `a nonce of ${tx.from}`);
            nonces.set(tx.from, Number(tx.nonce) + 1);
            move(tx.from, -BigInt(receipt.gasUsed) * BigInt(receipt.effectiveGasPrice));
            if (receipt.status === "0x1") {
                move(tx.from, -BigInt(tx.value));
                move(tx.to ?? receipt.contractAddress, BigInt(tx.value));
            }
        });
    }
    const senders = [...nonces.keys()];
    const id = `0x${last.toString(16)}`;
    const found = await batches(
        rpc,
        senders.flatMap((address) => [
            ["eth_getTransactionCount", [address, id]],
            ["eth_getBalance", [address, id]],
        ]),
    );
    senders.forEach((address, i) => {
        assert.equal(Number(found[2 * i]), nonces.get(address), `nonce of ${address}`);
        assert.equal(BigInt(found[2 * i + 1]), balances.get(address), `balance of ${address}`);
    });
    return senders.length;
}

const workers_args = [
    ...["--execution.workers", "3"],
    ...["--commitment", process.env.E2E_COMMITMENT ?? "auto"],
];
/** Transfers, tokens and swaps of many senders, paid for by an account that the test itself does not use. */
const generator_args = [
    ...["--profile", "mixed", "--seconds", "30", "--count", "15000"],
    ...["--accounts", "100", "--recipients", "100", "--pairs", "2"],
    ...["--connections", "8", "--in-flight", "4000", "--track", "heads"],
    ...["--key", accounts[9].private_key],
];

/**
 * Rounds of clients that wait for their receipts, a kill and a restart. With `loaded` a generator sends beside them as much
 * as the node takes, and what the subscription streams of it counts as given out as well.
 */
async function crash_rounds(t, { rounds, loaded }) {
    const next = random(t);
    const datadir = temporary_dir(t, "crash");
    const tally = new Interface(compile("Tally").abi);
    const workers = accounts.slice(0, 8);
    const ledger = new Ledger(workers.map(({ address }) => address.toLowerCase()));
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
            // There may be very many: all are asked for by whole blocks, and some one by one.
            const single = hashes.filter(() => next() * hashes.length < 300);
            const numbers = new Set(hashes.map((hash) => ledger.receipts.get(hash).blockNumber));
            const found = new Map();
            for (const number of numbers) {
                for (const receipt of await rpc.call("eth_getBlockReceipts", [number])) {
                    found.set(receipt.transactionHash, receipt);
                }
            }
            const look = (hash, receipt) => {
                assert.ok(receipt, `the receipt of ${hash} was given out and is gone`);
                assert.notEqual(receipt.blockHash, zero_hash, "recovery seals the open block");
                ledger.take(receipt);
            };
            hashes.forEach((hash) => look(hash, found.get(hash)));
            const singles = await batches(
                rpc,
                single.map((hash) => ["eth_getTransactionReceipt", [hash]]),
            );
            single.forEach((hash, i) => look(hash, singles[i]));
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
            return blocks.map((block) => block.hash);
        } finally {
            rpc.close();
        }
    };

    let node = await start_node(t, { datadir, args: workers_args });
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
    let killed_under_load = 0;
    for (let round = 0; round < rounds; round++) {
        const state = { killed: false, included: 0, mini_blocks: 0, errors: [] };
        const before = new Set(ledger.receipts.keys());
        const live = await listen(node, state);
        const running = workers.map((_, index) => load(node.port, index, state));
        await wait_for(() => state.included > 0 || state.errors.length > 0, "the first receipt");
        const generator = loaded ? new Generator(node.port, generator_args) : null;
        // One in four is killed somewhere in the preparations of the generator.
        if (generator && round % 4 !== 2) {
            await wait_for(() => generator.sends || generator.ended, "the generator");
            assert.ok(generator.sends, generator.log);
            killed_under_load++;
        }
        await new Promise((resolve) => setTimeout(resolve, next() * 1_400));
        const end = await node.stop("SIGKILL");
        state.killed = true;
        await Promise.all(running);
        live?.close();
        await generator?.stop();
        assert.equal(
            end.signal,
            "SIGKILL",
            `the node ended by itself before the kill:\n${node.log}`,
        );
        assert.deepEqual(state.errors, []);
        mini_blocks += state.mini_blocks;

        // Every fourth restart is itself killed at a random moment, so that recovery is interrupted too.
        if (round % 4 === 3) {
            const starting = new Node(0, datadir, workers_args);
            await new Promise((resolve) => setTimeout(resolve, next() * 300));
            await starting.stop("SIGKILL");
            killed_while_starting++;
        }
        node = await start_node(t, { datadir, args: workers_args });
        const fresh = [...ledger.receipts.keys()].filter((hash) => !before.has(hash));
        // Of the older ones those of a few blocks; all of them come last.
        const older_number = (hash) => ledger.receipts.get(hash).blockNumber;
        const numbers = [...new Set([...before].map(older_number))];
        const chosen = new Set(numbers.filter(() => next() * numbers.length < 3));
        const older = [...before].filter((hash) => chosen.has(older_number(hash)));
        await verify(node, [...fresh, ...older]);
    }
    await verify(node, [...ledger.receipts.keys()]);
    const hashes = await verify_chain(node);
    assert.ok(mini_blocks > 0, "the subscription delivered mini-blocks");

    const rpc = new HttpClient(node.port);
    const senders = await verify_accounts(rpc, hashes.length - 1);
    rpc.close();
    // Without a clean end there is no checkpoint: everything is executed again from the first record on.
    assert.equal((await node.stop("SIGKILL")).signal, "SIGKILL");
    const again = await start_from_log(t, datadir);
    assert.deepEqual((await verify_chain(again)).slice(0, hashes.length), hashes);
    assert.equal((await again.stop("SIGTERM")).code, 0);

    node = await start_node(t, { datadir, args: workers_args });
    assert.equal((await node.stop("SIGTERM")).code, 0);
    const of_load = loaded ? ` (${killed_under_load} of a generator at full speed)` : "";
    t.diagnostic(
        `${rounds} kills under load${of_load}, ${killed_while_starting} while starting, ` +
            `${ledger.receipts.size} receipts given out to ${senders} senders, ` +
            `${mini_blocks} mini-blocks streamed, none lost or changed; ` +
            `${hashes.length} blocks the same when executed again from the log`,
    );
}

test("kill -9", { skip: millrace_only, timeout: 840_000 }, (t) =>
    crash_rounds(t, { rounds: round_count, loaded: false }),
);

test("kill -9 under full parallel load", { skip: millrace_only, timeout: 3_600_000 }, (t) =>
    crash_rounds(t, { rounds: loaded_round_count, loaded: true }),
);
