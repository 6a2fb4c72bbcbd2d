// SPDX-License-Identifier: Apache-2.0
// Owns the proof that `millrace db` takes care of the directory of a real node: whole, in use, damaged, copied.
import assert from "node:assert/strict";
import { closeSync, openSync, readSync, readdirSync, writeSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { accounts, sign } from "./harness/accounts.mjs";
import { millrace_bin, millrace_only, run_program, start_node, temporary_dir } from "./harness/node.mjs";
import { HttpClient } from "./harness/rpc.mjs";

const exit = { ok: 0, usage: 2, config: 3, database: 4 };
const db = (...args) => run_program(millrace_bin, ["db", ...args]);

/** Flips one bit of a file. */
function flip(file, offset) {
    const fd = openSync(file, "r+");
    const byte = Buffer.alloc(1);
    readSync(fd, byte, 0, 1, offset);
    byte[0] ^= 4;
    writeSync(fd, byte, 0, 1, offset);
    closeSync(fd);
}

test("millrace db", { skip: millrace_only, timeout: 300_000 }, async (t) => {
    const datadir = path.join(temporary_dir(t), "data");
    const copies = temporary_dir(t, "copies");
    const send = async (node, count, first) => {
        const rpc = new HttpClient(node.port);
        for (let nonce = first; nonce < first + count; ++nonce) {
            const raw = await sign(accounts[0], { nonce, to: accounts[1].address, value: 1n });
            await rpc.call("eth_sendRawTransactionSync", [raw]);
        }
        rpc.close();
    };
    const node = await start_node(t, { datadir });
    await send(node, 20, 0);

    await t.test("leaves the directory of a running node alone", async () => {
        for (const args of [["verify"], ["stats"], ["snapshot", "--to", path.join(copies, "live")]]) {
            const done = await db(args[0], "--datadir", datadir, ...args.slice(1));
            assert.equal(done.code, exit.database, done.stdout);
            assert.match(done.stderr, /in use/);
        }
    });

    await node.stop("SIGKILL");
    await t.test("finds it whole after kill -9, and says what is in it", async () => {
        const done = await db("verify", "--datadir", datadir, "--dev");
        assert.equal(done.code, exit.ok, done.stderr);
        assert.match(done.stdout, /no damage was found/);
        const stats = await db("stats", "--datadir", datadir);
        assert.equal(stats.code, exit.ok, stats.stderr);
        assert.match(stats.stdout, /chain 31337, .*commitment/);
        assert.match(stats.stdout, /mini_block +\d+/);
    });

    const copy = path.join(copies, "copy");
    const back = path.join(copies, "back");
    await t.test("a snapshot is restored, and the node goes on with it", async () => {
        assert.equal((await db("snapshot", "--datadir", datadir, "--to", copy)).code, exit.ok);
        const again = await db("snapshot", "--datadir", datadir, "--to", copy);
        assert.equal(again.code, exit.config);
        assert.match(again.stderr, /not empty/);
        const restored = await db("restore", "--from", copy, "--datadir", back);
        assert.equal(restored.code, exit.ok, restored.stderr);
        const second = await start_node(t, { datadir: back });
        const rpc = new HttpClient(second.port);
        const nonce = await rpc.call("eth_getTransactionCount", [accounts[0].address, "latest"]);
        assert.equal(Number(nonce), 20);
        rpc.close();
        await send(second, 5, 20);
        await second.stop();
        // After a clean end there is a checkpoint, so that nothing but the directory is needed.
        const done = await db("verify", "--datadir", back);
        assert.equal(done.code, exit.ok, done.stderr);
        assert.match(done.stdout, /checkpoints\n +block \d+/);
        assert.match(done.stdout, /no damage was found/);
    });

    await t.test("names what is damaged, in the directory and in a snapshot", async () => {
        const segment = path.join(back, "wal", readdirSync(path.join(back, "wal")).find((n) => /segment/.test(n)));
        flip(segment, 4096 + 40);
        const log = await db("verify", "--datadir", back);
        assert.equal(log.code, exit.database);
        assert.match(log.stderr, /damaged: .*segment-\d+.*offset 4096/);
        const checkpoint = path.join(back, "checkpoints", readdirSync(path.join(back, "checkpoints"))[0]);
        flip(checkpoint, 300);
        const both = await db("verify", "--datadir", back);
        assert.match(both.stderr, /damaged: .*checkpoint-\d+/);
        assert.match(both.stderr, /damaged: .*segment-\d+/);
        flip(path.join(copy, "chain/blocks"), 100);
        const restored = await db("restore", "--from", copy, "--datadir", path.join(copies, "third"));
        assert.equal(restored.code, exit.database);
        assert.match(restored.stderr, /chain\/blocks is damaged/);
    });

    await t.test("wrong arguments get a clear error", async () => {
        const nothing = path.join(copies, "nothing");
        const missing = await db("verify", "--datadir", nothing);
        assert.equal(missing.code, exit.database);
        assert.match(missing.stderr, /no data directory/);
        const no_snapshot = await db("restore", "--from", copies, "--datadir", nothing);
        assert.equal(no_snapshot.code, exit.database);
        assert.match(no_snapshot.stderr, /no SNAPSHOT file/);
        assert.equal((await db("verify")).code, exit.usage);
        assert.equal((await db()).code, exit.usage);
        const help = await db("--help");
        assert.equal(help.code, exit.ok);
        for (const word of ["verify", "stats", "snapshot", "restore", "Exit codes"]) {
            assert.match(help.stdout, new RegExp(word));
        }
    });
});
