// SPDX-License-Identifier: Apache-2.0
// Owns the life of the node under test: a free port, a data directory of its own, start, stop and kill; and that of a
// generator of load beside it.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { HttpClient } from "./rpc.mjs";

export const e2e_dir = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const root_dir = path.resolve(e2e_dir, "../..");

/** E2E_TARGET=anvil runs the same tests against Foundry's development node: a check of the tests themselves. */
export const target = process.env.E2E_TARGET ?? "millrace";
export const is_anvil = target === "anvil";
/** The reason with which a test of what anvil does not offer is skipped there; false for Millrace. */
export const millrace_only = is_anvil ? "anvil does not offer this" : false;

export const millrace_bin =
    process.env.MILLRACE_BIN ?? path.join(root_dir, "build/release/host/node/millrace");
const foundry_bin = (tool) =>
    path.join(e2e_dir, `node_modules/@foundry-rs/${tool}-linux-amd64/bin/${tool}`);

const log_bytes_max = 1 << 20;
const children = new Set();
process.on("exit", () => {
    for (const child of children) {
        child.kill("SIGKILL");
    }
});

/**
 * A port of the loopback interface that nobody listened on a moment ago. Somebody may have taken it by the time that it is
 * used: a node is better told 0, which picks its own.
 */
export function free_port() {
    return new Promise((resolve, reject) => {
        const server = net.createServer();
        server.on("error", reject);
        server.listen(0, "127.0.0.1", () => {
            const { port } = server.address();
            server.close(() => resolve(port));
        });
    });
}

/** A new empty directory, removed at the end of the test `t` (or by the caller without one). */
export function temporary_dir(t, name = "data") {
    const dir = mkdtempSync(path.join(os.tmpdir(), `millrace-e2e-${name}-`));
    t?.after(() => rmSync(dir, { recursive: true, force: true }));
    return dir;
}

/** Runs a program to its end. Gives {code, signal, stdout, stderr, elapsed_ms}; never throws on a bad exit. */
export function run_program(file, args, { env = {}, cwd, input = "", timeout_ms = 60_000 } = {}) {
    return new Promise((resolve, reject) => {
        const start = performance.now();
        const child = spawn(file, args, { env: { ...process.env, ...env }, cwd });
        children.add(child);
        const out = { stdout: "", stderr: "" };
        for (const stream of ["stdout", "stderr"]) {
            child[stream].setEncoding("utf8").on("data", (text) => (out[stream] += text));
        }
        const timer = setTimeout(() => child.kill("SIGKILL"), timeout_ms);
        child.on("error", reject);
        child.on("close", (code, signal) => {
            clearTimeout(timer);
            children.delete(child);
            resolve({ code, signal, ...out, elapsed_ms: performance.now() - start });
        });
        child.stdin.on("error", () => {}); // A program may end without reading its input.
        child.stdin.end(input);
    });
}

/** cast or forge with a clean environment: no user's settings and no proxy between it and the node. */
export async function foundry(tool, args, { home, ...options }) {
    const env = {
        HOME: home,
        NO_PROXY: "127.0.0.1",
        NO_COLOR: "1",
        FOUNDRY_DISABLE_NIGHTLY_WARNING: "1",
    };
    const done = await run_program(foundry_bin(tool), args, {
        ...options,
        env: { ...options.env, ...env },
    });
    if (done.code !== 0) {
        throw new Error(
            `${tool} ${args.join(" ")} ended with ${done.code ?? done.signal}\n${done.stdout}${done.stderr}`,
        );
    }
    return done.stdout.trim();
}

/** A started process of the node. */
export class Node {
    /** `kind` is millrace or anvil; a test leaves it to E2E_TARGET. Port 0: the node picks one, known when it is ready. */
    constructor(port, datadir, args, kind = target, env = {}) {
        this.is_anvil = kind === "anvil";
        this.port = port;
        this.datadir = datadir;
        this.log = "";
        const started_ms = performance.now();
        this.child = this.is_anvil
            ? spawn(foundry_bin("anvil"), ["--port", `${port}`, ...args], {
                  stdio: ["ignore", "pipe", "pipe"],
              })
            : spawn(
                  millrace_bin,
                  ["node", "--dev", "--datadir", datadir, "--http.port", `${port}`, ...args],
                  { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } },
              );
        children.add(this.child);
        for (const stream of [this.child.stdout, this.child.stderr]) {
            stream.setEncoding("utf8").on("data", (text) => {
                this.log = (this.log + text).slice(-log_bytes_max);
            });
        }
        this.exited = new Promise((resolve) => {
            this.child.on("error", (error) => {
                this.log += `${error.message}\n`;
                resolve({
                    code: null,
                    signal: null,
                    error,
                    elapsed_ms: performance.now() - started_ms,
                });
            });
            this.child.on("close", (code, signal) => {
                children.delete(this.child);
                this.end = { code, signal, elapsed_ms: performance.now() - started_ms };
                resolve(this.end);
            });
        });
    }

    get url() {
        return `http://127.0.0.1:${this.port}`;
    }

    get ws_url() {
        return `ws://127.0.0.1:${this.port}`;
    }

    /** Waits until the node says that it serves requests; fails at once when the process ends. */
    async ready(timeout_ms = 60_000) {
        const deadline = performance.now() + timeout_ms;
        let ended = null;
        this.exited.then((end) => (ended = end));
        while (performance.now() < deadline) {
            if (ended) {
                throw new Error(`the node ended with ${ended.code ?? ended.signal}:\n${this.log}`);
            }
            this.port ||= Number(this.log.match(/http:\/\/127\.0\.0\.1:(\d+)/)?.[1] ?? 0);
            try {
                if (this.port === 0) {
                    // It has not said yet which port it took.
                } else if (this.is_anvil) {
                    const rpc = new HttpClient(this.port);
                    try {
                        await rpc.call("eth_chainId", []);
                    } finally {
                        rpc.close();
                    }
                    return this;
                } else if ((await fetch(`${this.url}/readyz`)).status === 200) {
                    return this;
                }
            } catch (error) {
                if (error.code !== "ECONNREFUSED" && error.cause?.code !== "ECONNREFUSED") {
                    throw error;
                }
            }
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
        throw new Error(`the node was not ready in ${timeout_ms} ms:\n${this.log}`);
    }

    /** Sends a signal and waits for the end. Gives {code, signal, stop_ms}. */
    async stop(signal = "SIGTERM", timeout_ms = 20_000) {
        if (this.end) {
            return { ...this.end, stop_ms: 0 };
        }
        const start = performance.now();
        this.child.kill(signal);
        const timer = setTimeout(() => this.child.kill("SIGKILL"), timeout_ms);
        const end = await this.exited;
        clearTimeout(timer);
        return { ...end, stop_ms: performance.now() - start };
    }
}

/** Starts a node and waits until it is ready; it is killed at the end of the test `t`. */
export async function start_node(t, { datadir, args = [], env = {} } = {}) {
    datadir ??= temporary_dir(t);
    const node = new Node(is_anvil ? await free_port() : 0, datadir, args, target, env);
    t?.after(() => node.stop("SIGKILL"));
    return node.ready();
}

/** `millrace load` against a node, until one of both ends. */
export class Generator {
    constructor(port, args) {
        this.log = "";
        const artifacts = ["--artifacts", path.join(e2e_dir, "node_modules")];
        this.child = spawn(
            millrace_bin,
            ["load", `http://127.0.0.1:${port}`, ...artifacts, ...args],
            { stdio: ["ignore", "pipe", "pipe"] },
        );
        children.add(this.child);
        for (const stream of [this.child.stdout, this.child.stderr]) {
            stream.setEncoding("utf8").on("data", (text) => (this.log += text));
        }
        this.exited = new Promise((resolve) => {
            this.child.on("close", () => {
                children.delete(this.child);
                this.ended = true;
                resolve();
            });
        });
    }

    /** Whether it is past its preparations, in a closed loop, and sends as fast as the node takes. */
    get sends() {
        return /^closed \d+ s: sent [1-9]/m.test(this.log);
    }

    async stop() {
        this.child.kill("SIGKILL");
        await this.exited;
    }
}
