// SPDX-License-Identifier: Apache-2.0
// Owns the proof that `millrace load` measures a real node, ours and a peer's: every profile, every way of sending, its
// errors and its end.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { Node, e2e_dir, free_port, millrace_bin, run_program, temporary_dir } from "./harness/node.mjs";

const profiles = ["transfer", "erc20", "swap", "hotspot", "mixed"];
const anvil_bin = path.join(e2e_dir, "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");

const artifacts = ["--artifacts", path.join(e2e_dir, "node_modules")];
/** Few accounts and contracts, so that getting ready takes little of the time. */
const small = [
    ["--accounts", "40"],
    ["--recipients", "30"],
    ["--pairs", "2"],
    ["--connections", "4"],
    ["--batch", "10"],
    ["--in-flight", "400"],
    artifacts,
].flat();

/** Runs `millrace load`; gives its exit, output and JSON. */
async function load(t, url, args, options = {}) {
    const file = path.join(temporary_dir(t, "load"), "result.json");
    const done = await run_program(millrace_bin, ["load", url, ...args, "--json", file], options);
    const text = existsSync(file) ? readFileSync(file, "utf8") : "";
    return { ...done, result: text === "" ? null : JSON.parse(text) };
}

/** What must hold of every part of a good run. */
function check(phase, latency) {
    assert.ok(phase.included > 0, "something was included");
    assert.equal(phase.included, phase.accepted);
    assert.equal(phase.rejected, 0);
    assert.equal(phase.reverted, 0);
    assert.deepEqual(phase.verification.faults, []);
    assert.ok(phase.verification.nonces > 0);
    assert.ok(phase.verification.balances > 0);
    assert.ok(phase.verification.receipts > 0);
    assert.ok(phase.items_per_second > 0);
    assert.ok(phase.generator_cpu_us_per_transaction > 0);
    const h = phase.latency[latency];
    assert.equal(h.count, phase.included);
    assert.ok(h.min_us <= h.p50_us && h.p50_us <= h.p99_us && h.p99_us <= h.max_us);
    const seconds = phase.included_by_second.reduce((a, b) => a + b, 0);
    assert.equal(seconds, phase.included);
}

function start(t, kind, args = []) {
    return free_port().then((port) => {
        const node = new Node(port, temporary_dir(t), args, kind);
        t.after(() => node.stop("SIGKILL"));
        return node.ready();
    });
}

for (const kind of ["millrace", "anvil"]) {
    const absent = kind === "anvil" && !existsSync(anvil_bin) ? "anvil is not installed" : false;
    test(`every profile against ${kind}`, { timeout: 240_000, skip: absent }, async (t) => {
        const node = await start(t, kind, kind === "anvil" ? ["-b", "1", "--silent"] : []);
        for (const profile of profiles) {
            await t.test(profile, async (t) => {
                const args = ["--profile", profile, "--seconds", "1.5", "--count", "1000", ...small];
                const run = await load(t, node.url, [...args, "--pid", `${node.child.pid}`]);
                assert.equal(run.code, 0, run.stderr + run.stdout);
                const [phase] = run.result.benchmarks;
                assert.equal(phase.name, `load/${profile}/batch/closed`);
                check(phase, "included");
                assert.equal(phase.track, kind === "anvil" ? "heads" : "mini-blocks");
                assert.ok(phase.node_rss_max_bytes > 1 << 20);
                assert.equal(run.result.context.chain_id, 31337);
                assert.match(run.result.context.client_version, new RegExp(kind, "i"));
            });
        }
    });

    test(`synchronous sends at random times to ${kind}`, { timeout: 60_000, skip: absent }, async (t) => {
        const node = await start(t, kind, kind === "anvil" ? ["--silent"] : []);
        const args = ["--send", "sync", "--rate", "60", "--seconds", "1.5", ...small];
        const run = await load(t, node.url, args);
        assert.equal(run.code, 0, run.stderr + run.stdout);
        const [phase] = run.result.benchmarks;
        check(phase, "receipt");
        assert.equal(phase.offered, phase.included);
        // Poisson: 90 expected, six deviations.
        assert.ok(phase.offered > 30 && phase.offered < 150, `${phase.offered} arrivals`);
    });
}

test("WebSocket, single requests, priorities and polling", { timeout: 60_000 }, async (t) => {
    const node = await start(t, "millrace");
    const args = ["--send", "raw", "--rate", "300", "--seconds", "1", "--track", "heads"];
    const first = await load(t, node.ws_url, [...args, "--priority-fraction", "0.3", ...small]);
    assert.equal(first.code, 0, first.stderr + first.stdout);
    const [phase] = first.result.benchmarks;
    check(phase, "included");
    const part = phase.priority_latency.included.count;
    assert.ok(part > 0 && part < phase.included, `${part} of ${phase.included} with priority`);
    // The same accounts again, from where their nonces are now.
    const again = await load(t, node.url, ["--seconds", "1", "--count", "400", "--track", "polling", ...small]);
    assert.equal(again.code, 0, again.stderr + again.stdout);
    assert.equal(again.result.benchmarks[0].track, "polling");
    check(again.result.benchmarks[0], "included");
});

test("overload measures the capacity first and keeps every promise", { timeout: 90_000 }, async (t) => {
    const node = await start(t, "millrace", ["--txpool.transactions", "3000"]);
    const args = ["--overload", "2", "--seconds", "1.5", "--count", "100000", "--batch", "100"];
    const run = await load(t, node.url, [
        ...args,
        ...["--accounts", "400", "--connections", "8", "--in-flight", "2000", "--track", "heads"],
        ...["--pid", `${node.child.pid}`],
    ]);
    assert.equal(run.code, 0, run.stderr + run.stdout);
    const [capacity, overload] = run.result.benchmarks;
    check(capacity, "included");
    check(overload, "included");
    assert.equal(overload.name, "load/transfer/batch/overload");
    assert.ok(overload.offered_per_second > capacity.items_per_second * 1.9);
    assert.match(run.stdout, /included under overload/);
});

test("what cannot work is said with its remedy", { timeout: 60_000 }, async (t) => {
    const cases = [
        [2, "http://10.1.2.3:8545", [], /--allow-remote/],
        [2, "https://127.0.0.1", [], /TLS/],
        [2, "http://127.0.0.1:1", ["--profile", "spam"], /transfer, erc20, swap/],
        [2, "http://127.0.0.1:1", ["--key", "0x12"], /--key/],
        [1, `http://127.0.0.1:${await free_port()}`, [], /cannot reach .* is a node running there/],
    ];
    const node = await start(t, "millrace");
    cases.push(
        [1, node.url, ["--key", `0x${"11".repeat(32)}`], /fund it, give another with --key/],
        [1, node.url, ["--profile", "swap", "--artifacts", "nowhere"], /ERC20\.json .* --artifacts/],
        [1, node.url, [...artifacts, "--count", "8000000", "--profile", "swap", "--max-fee", "1"], /GiB|fund it/],
    );
    for (const [code, url, args, message] of cases) {
        const run = await load(t, url, args);
        assert.equal(run.code, code, run.stderr);
        assert.match(run.stderr, message);
    }
});

test("an interrupted run writes what it measured", { timeout: 60_000 }, async (t) => {
    const node = await start(t, "millrace");
    const file = path.join(temporary_dir(t, "load"), "result.json");
    const script = 'timeout --foreground --signal=INT 4 "$0" load "$@"';
    const args = ["--rate", "200", "--seconds", "60", "--json", file, ...small];
    const run = await run_program("bash", ["-c", script, millrace_bin, node.url, ...args]);
    // timeout gives 124 whatever the program's own code was.
    assert.equal(run.code, 124, run.stderr);
    const result = JSON.parse(readFileSync(file, "utf8"));
    assert.equal(result.context.interrupted, true);
    check(result.benchmarks[0], "included");
});
