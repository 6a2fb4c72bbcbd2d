// SPDX-License-Identifier: Apache-2.0
// Owns the measurement of the time from sending a transaction to holding its receipt, over HTTP with
// eth_sendRawTransactionSync, with arrivals at random times.
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import { parseArgs } from "node:util";

import { accounts, random, sign } from "../../tests/e2e/harness/accounts.mjs";
import { Node, free_port, temporary_dir } from "../../tests/e2e/harness/node.mjs";

const usage = `usage: node bench/latency/send_to_receipt.mjs [options]
  --count N        transactions that are timed (default 1000)
  --mean-ms T      mean time between two arrivals, which are a Poisson process (default 10)
  --warm-up N      transactions before, not timed (default 50)
  --targets LIST   millrace, anvil or both: millrace,anvil (default millrace); each gets the same transactions
  --port N         measure the development node that listens there instead of starting one
  --node-args S    arguments for the started node, e.g. "--mini-block-ms 1"
  --json FILE      write the result in google-benchmark's shape ("-": standard output)
The node is $MILLRACE_BIN or build/release/host/node/millrace; anvil comes with "npm ci" in tests/e2e.
E2E_SEED=n repeats the arrivals.`;

const { values: options } = parseArgs({
    options: {
        count: { type: "string", default: "1000" },
        "mean-ms": { type: "string", default: "10" },
        "warm-up": { type: "string", default: "50" },
        targets: { type: "string", default: "millrace" },
        port: { type: "string" },
        "node-args": { type: "string", default: "" },
        json: { type: "string" },
        help: { type: "boolean", default: false },
    },
});
if (options.help) {
    console.log(usage);
    process.exit(0);
}
const count = Number(options.count);
const warm_up = Number(options["warm-up"]);
const mean_ms = Number(options["mean-ms"]);
if (!(count > 0 && warm_up >= 0 && mean_ms > 0)) {
    console.error(
        `--count, --mean-ms and --warm-up are positive numbers, not ${count}, ${mean_ms}, ${warm_up}`,
    );
    process.exit(2);
}

/** One kept-alive connection that carries one request at a time, with as little between the clock and the socket as can be. */
class Connection {
    static open(port) {
        return new Promise((resolve, reject) => {
            const connection = new Connection();
            connection.socket = net.connect({ port, host: "127.0.0.1", noDelay: true }, () =>
                resolve(connection),
            );
            connection.socket.on("error", (error) => {
                reject(error);
                connection.waiting?.reject(error);
            });
            connection.socket.on("close", () =>
                connection.waiting?.reject(new Error("the node closed the connection")),
            );
            connection.socket.on("data", (data) => connection.#take(data));
        });
    }

    #seen = Buffer.alloc(0);

    #take(data) {
        const now = performance.now();
        this.#seen = this.#seen.length ? Buffer.concat([this.#seen, data]) : data;
        const end = this.#seen.indexOf("\r\n\r\n");
        if (end < 0) {
            return;
        }
        const head = this.#seen.toString("latin1", 0, end);
        const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? NaN);
        if (Number.isNaN(length)) {
            this.waiting.reject(new Error(`an answer without Content-Length: ${head}`));
        } else if (this.#seen.length >= end + 4 + length) {
            const body = this.#seen.toString("utf8", end + 4, end + 4 + length);
            this.#seen = this.#seen.subarray(end + 4 + length);
            const { resolve } = this.waiting;
            this.waiting = null;
            resolve({ body, now });
        }
    }

    /** Gives {answer, elapsed_ms}, from the write to the last byte of the answer. */
    async exchange(bytes) {
        const answered = new Promise((resolve, reject) => (this.waiting = { resolve, reject }));
        const start = performance.now();
        this.socket.write(bytes);
        const { body, now } = await answered;
        return { answer: JSON.parse(body), elapsed_ms: now - start };
    }
}

const request_of = (raw, id) => {
    const body = JSON.stringify({
        jsonrpc: "2.0",
        id,
        method: "eth_sendRawTransactionSync",
        params: [raw],
    });
    const head = `POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
    return Buffer.from(head + body);
};

const quantile = (sorted, q) =>
    sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)];

async function measure(target) {
    const datadir = temporary_dir(null, "latency");
    let node = null;
    let port = Number(options.port ?? 0);
    try {
        if (!port) {
            node = new Node(
                await free_port(),
                datadir,
                options["node-args"].split(" ").filter(Boolean),
                target,
            );
            await node.ready();
            port = node.port;
        }
        // Each account has a connection of its own, and its transactions follow one another on it.
        const lanes = await Promise.all(accounts.map(() => Connection.open(port)));
        const first = await Promise.all(
            lanes.map(async (lane, i) => {
                const body = JSON.stringify({
                    jsonrpc: "2.0",
                    id: 1,
                    method: "eth_getTransactionCount",
                    params: [accounts[i].address, "latest"],
                });
                const head = `POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
                return Number((await lane.exchange(Buffer.from(head + body))).answer.result);
            }),
        );
        const requests = [];
        for (let i = 0; i < warm_up + count; i++) {
            const lane = i % lanes.length;
            const nonce = first[lane] + Math.floor(i / lanes.length);
            const to = accounts[(lane + 1) % accounts.length].address;
            requests.push(request_of(await sign(accounts[lane], { nonce, to, value: 1n }), i));
        }

        const next = random();
        const busy = lanes.map(() => Promise.resolve());
        const samples = [];
        let late = 0;
        const start = performance.now();
        let due = start;
        for (let i = 0; i < requests.length; i++) {
            due += -Math.log(1 - next()) * mean_ms;
            const pause = due - performance.now();
            if (pause > 0) {
                await new Promise((resolve) => setTimeout(resolve, pause));
            }
            const lane = i % lanes.length;
            let waited = true;
            busy[lane].then(() => (waited = false));
            await Promise.resolve();
            late += waited ? 1 : 0;
            busy[lane] = busy[lane].then(async () => {
                const { answer, elapsed_ms } = await lanes[lane].exchange(requests[i]);
                if (
                    answer.error ||
                    answer.result.status !== "0x1" ||
                    answer.result.gasUsed !== "0x5208"
                ) {
                    throw new Error(
                        `transaction ${i} was answered by ${JSON.stringify(answer).slice(0, 400)}`,
                    );
                }
                if (i >= warm_up) {
                    samples.push(elapsed_ms);
                }
            });
            // A failure ends the run when the lane is awaited; until then it must not count as unhandled.
            busy[lane].catch(() => {});
        }
        await Promise.all(busy);
        const wall_s = (performance.now() - start) / 1000;
        lanes.forEach((lane) => lane.socket.destroy());
        samples.sort((a, b) => a - b);
        const mean = samples.reduce((sum, x) => sum + x, 0) / samples.length;
        return {
            target,
            count: samples.length,
            late,
            rate_per_s: requests.length / wall_s,
            p50: quantile(samples, 0.5),
            p90: quantile(samples, 0.9),
            p99: quantile(samples, 0.99),
            p999: quantile(samples, 0.999),
            max: samples.at(-1),
            min: samples[0],
            mean,
            stddev: Math.sqrt(
                samples.reduce((sum, x) => sum + (x - mean) ** 2, 0) / samples.length,
            ),
        };
    } finally {
        await node?.stop();
        rmSync(datadir, { recursive: true, force: true });
    }
}

const git = (...args) => {
    try {
        return execFileSync("git", args, {
            encoding: "utf8",
            stdio: ["ignore", "pipe", "ignore"],
        }).trim();
    } catch {
        return "unknown";
    }
};

const results = [];
for (const target of options.targets.split(",")) {
    results.push(await measure(target));
}
const to_stdout = options.json === "-";
if (!to_stdout) {
    console.log(
        `send to receipt in ms, eth_sendRawTransactionSync, ${count} arrivals at random, mean ${mean_ms} ms apart`,
    );
    for (const row of results) {
        const cells = ["min", "p50", "p90", "p99", "p999", "max"]
            .map((key) => `${key} ${row[key].toFixed(2)}`)
            .join("  ");
        console.log(
            `${row.target.padEnd(9)} ${cells}  mean ${row.mean.toFixed(2)}  (${row.rate_per_s.toFixed(0)}/s, ${row.late} sent late)`,
        );
    }
}
if (options.json) {
    const report = {
        context: {
            date: new Date().toISOString(),
            commit: git("rev-parse", "HEAD"),
            num_cpus: os.cpus().length,
            cpu: os.cpus()[0]?.model ?? "unknown",
            memory_bytes: os.totalmem(),
            kernel: os.release(),
            node_js: process.versions.node,
            load_avg: os.loadavg(),
            arguments: process.argv.slice(2),
        },
        benchmarks: results.flatMap((row) =>
            ["p50", "p99", "max", "mean", "stddev"].map((key) => ({
                name: `send_to_receipt/${row.target}/${key}`,
                run_type: "aggregate",
                aggregate_name: key,
                iterations: row.count,
                real_time: row[key],
                time_unit: "ms",
                items_per_second: row.rate_per_s,
                sent_late: row.late,
            })),
        ),
    };
    const text = `${JSON.stringify(report, null, 2)}\n`;
    to_stdout ? process.stdout.write(text) : writeFileSync(options.json, text);
}
