// SPDX-License-Identifier: Apache-2.0
// Owns the proof of what a node with several workers does under load when its disk is full or cannot be flushed: it says
// so, loses nothing that it gave out, and goes on or ends with the documented exit code.
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { accounts, sign } from "./harness/accounts.mjs";
import { Node, e2e_dir, free_port, millrace_only, start_node, temporary_dir } from "./harness/node.mjs";
import { HttpClient, RpcError, wait_for } from "./harness/rpc.mjs";

const options = { skip: millrace_only, timeout: 300_000 };
// Without a reserve, which would stop intake first.
const args = ["--execution.workers", "3", "--disk.reserve-mib", "0"];
const exit_disk = 5;
const sink = `0x${"5e".repeat(20)}`;
const library =
    process.env.MILLRACE_FAILING_DISK ??
    path.join(e2e_dir, "../../build/release/tests/e2e/libe2e_failing_disk.so");

/** A node whose disk can be made full or failing. */
async function start_failing_node(t, datadir) {
    const state = path.join(temporary_dir(t, "disk-state"), "state");
    const env = { LD_PRELOAD: library, MILLRACE_FAILING_DISK_STATE: state };
    const node = await start_node(t, { datadir, args, env });
    assert.match(node.log, /io_uring_setup was refused/, "the log is written by calls that can fail");
    return {
        node,
        disk: {
            fill: () => writeFileSync(state, "full"),
            fail_flushes: () => writeFileSync(state, "sync"),
            repair: () => rmSync(state),
        },
    };
}

const client_count = 8;
const burst = 8;

/** Accounts that send transfers in bursts, each as soon as it has the receipts of the last one, until the node is gone. */
class Clients {
    receipts = new Map();
    refusals = [];
    errors = [];
    stopping = false;

    constructor(port) {
        this.running = accounts.slice(0, client_count).map((account) => this.#run(port, account));
    }

    async #run(port, account) {
        const rpc = new HttpClient(port);
        try {
            for (let nonce = 0; !this.stopping; nonce += burst) {
                const raw = await Promise.all(
                    Array.from({ length: burst }, (_, i) =>
                        sign(account, { nonce: nonce + i, to: sink, value: 1n }),
                    ),
                );
                const hashes = [];
                for (const bytes of raw) {
                    hashes.push(await this.#send(rpc, bytes));
                }
                for (const hash of hashes) {
                    await this.#await_receipt(rpc, hash);
                }
            }
        } catch (error) {
            // The end of the node is the end of its connections.
            if (!/ECONN|EPIPE|socket hang up|closed/.test(`${error.code} ${error.message}`)) {
                this.errors.push(error);
            }
        } finally {
            rpc.close();
        }
    }

    async #send(rpc, raw) {
        while (!this.stopping) {
            try {
                return await rpc.call("eth_sendRawTransaction", [raw]);
            } catch (error) {
                if (!(error instanceof RpcError)) {
                    throw error;
                }
                this.refusals.push(error.message);
                await new Promise((resolve) => setTimeout(resolve, 20));
            }
        }
        return null;
    }

    async #await_receipt(rpc, hash) {
        for (let receipt = null; receipt === null && !this.stopping; ) {
            receipt = await rpc.call("eth_getTransactionReceipt", [hash]);
            if (receipt) {
                this.receipts.set(hash, receipt);
            }
        }
    }

    async more(count) {
        const least = this.receipts.size + count;
        await wait_for(() => this.receipts.size >= least || this.errors.length > 0, "receipts");
        assert.deepEqual(this.errors, []);
    }

    async stop() {
        this.stopping = true;
        await Promise.all(this.running);
        assert.deepEqual(this.errors, []);
    }
}

async function readiness(node) {
    const answer = await fetch(`${node.url}/readyz`);
    const { checks } = await answer.json();
    const of = (wanted) => checks.find(({ name }) => name === wanted);
    return { status: answer.status, disk: of("disk"), memory: of("memory") };
}

/** Without the one field that may change while its block is open. */
const without_block_hash = (receipt) => {
    const strip = ({ blockHash, ...rest }) => rest;
    return { ...strip(receipt), logs: receipt.logs.map(strip) };
};

/** What a restarted node says of all that was given out. */
async function verify(node, receipts) {
    const rpc = new HttpClient(node.port);
    try {
        const hashes = [...receipts.keys()];
        for (let i = 0; i < hashes.length; i += 50) {
            const part = hashes.slice(i, i + 50);
            const found = await rpc.batch(part.map((hash) => ["eth_getTransactionReceipt", [hash]]));
            part.forEach((hash, k) => {
                assert.ok(found[k], `the receipt of ${hash} was given out and is gone`);
                assert.deepEqual(
                    without_block_hash(found[k]),
                    without_block_hash(receipts.get(hash)),
                );
            });
        }
        // Transactions that nobody was told of may be there as well: the chain counts them all alike.
        let sent = 0n;
        for (const { address } of accounts.slice(0, client_count)) {
            sent += BigInt(await rpc.call("eth_getTransactionCount", [address, "latest"]));
        }
        assert.equal(BigInt(await rpc.call("eth_getBalance", [sink, "latest"])), sent);
        assert.ok(sent >= BigInt(receipts.size));
    } finally {
        rpc.close();
    }
}

test("a full disk stops intake until there is room", options, async (t) => {
    const datadir = temporary_dir(t, "disk");
    const { node, disk } = await start_failing_node(t, datadir);
    const clients = new Clients(node.port);
    for (let round = 0; round < 2; round++) {
        await clients.more(100);
        assert.equal((await readiness(node)).status, 200);
        disk.fill();
        const full = await wait_for(async () => {
            const seen = await readiness(node);
            return seen.disk.ok ? null : seen;
        }, "the full disk in /readyz");
        assert.equal(full.status, 503);
        assert.match(full.disk.detail, /full/);
        const rpc = new HttpClient(node.port);
        const refused = await rpc.answer("eth_sendRawTransaction", [
            await sign(accounts[8], { nonce: 0, to: sink, value: 1n }),
        ]);
        assert.match(refused.error.message, /disk/);
        const given = clients.receipts.size;
        await rpc.call("eth_getBalance", [sink, "latest"]);
        // What was given out is there, and no more than that comes while the disk is full.
        await new Promise((resolve) => setTimeout(resolve, 500));
        assert.ok(clients.receipts.size <= given + client_count * burst, "no room, no receipts");
        rpc.close();
        disk.repair();
        await wait_for(async () => (await readiness(node)).status === 200, "room");
    }
    await clients.more(100);
    assert.ok(clients.refusals.some((message) => /disk/.test(message)), "clients were told, too");
    disk.fill();
    await wait_for(async () => !(await readiness(node)).disk.ok, "the full disk in /readyz");
    assert.equal((await node.stop("SIGKILL")).signal, "SIGKILL");
    await clients.stop();
    const again = await start_node(t, { datadir, args });
    await verify(again, clients.receipts);
    assert.equal((await again.stop()).code, 0);
});

test("with less room than is reserved the node takes no transactions and says so", options, async (t) => {
    const all_of_any_disk = ["--disk.reserve-mib", `${2 ** 30}`];
    const node = new Node(await free_port(), temporary_dir(t, "low"), all_of_any_disk);
    t.after(() => node.stop("SIGKILL"));
    const seen = await wait_for(() => readiness(node).catch(() => null), "an answer of /readyz");
    assert.equal(seen.status, 503);
    assert.match(seen.disk.detail, /reserve/);
    const rpc = new HttpClient(node.port);
    const raw = await sign(accounts[0], { nonce: 0, to: sink, value: 1n });
    const refused = await rpc.answer("eth_sendRawTransaction", [raw]);
    assert.match(refused.error.message, /disk/);
    // Everything else goes on: blocks, reads, metrics, and a clean end.
    await wait_for(async () => Number(await rpc.call("eth_blockNumber")) > 1, "blocks");
    assert.ok(BigInt(await rpc.call("eth_getBalance", [accounts[0].address, "latest"])) > 0n);
    const metrics = await rpc.post("", { method: "GET", path: "/metrics" });
    assert.match(metrics.body, /^millrace_disk_free_bytes [1-9]/m);
    rpc.close();
    assert.equal((await node.stop()).code, 0);
});

test("with its state at the limit of memory the node takes no transactions and says so", options, async (t) => {
    const node = new Node(await free_port(), temporary_dir(t, "memory"), ["--memory.state-mib", "1"]);
    t.after(() => node.stop("SIGKILL"));
    const seen = await wait_for(() => readiness(node).catch(() => null), "an answer of /readyz");
    assert.equal(seen.status, 503);
    assert.equal(seen.memory.ok, false);
    assert.match(seen.memory.detail, /memory\.state-mib/);
    const rpc = new HttpClient(node.port);
    const raw = await sign(accounts[0], { nonce: 0, to: sink, value: 1n });
    const refused = await rpc.answer("eth_sendRawTransaction", [raw]);
    assert.match(refused.error.message, /memory/);
    await wait_for(async () => Number(await rpc.call("eth_blockNumber")) > 1, "blocks");
    const metrics = await rpc.post("", { method: "GET", path: "/metrics" });
    assert.match(metrics.body, /^millrace_state_memory_bytes\{part="index"\} [1-9]/m);
    assert.match(metrics.body, /^millrace_state_memory_limit_bytes 1048576/m);
    assert.match(node.log, /reached its limit of memory/);
    rpc.close();
    assert.equal((await node.stop()).code, 0);
});

test("a flush that fails ends the node with exit code 5", options, async (t) => {
    for (let round = 0; round < 2; round++) {
        const datadir = temporary_dir(t, "disk");
        const { node, disk } = await start_failing_node(t, datadir);
        const clients = new Clients(node.port);
        await clients.more(100 + 150 * round);
        disk.fail_flushes();
        const end = await node.exited;
        assert.equal(end.code, exit_disk, `${end.signal}\n${node.log}`);
        assert.match(node.log, /cannot flush/);
        await clients.stop();
        const again = await start_node(t, { datadir, args });
        await verify(again, clients.receipts);
        assert.equal((await again.stop()).code, 0);
    }
});
