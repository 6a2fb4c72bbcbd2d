// SPDX-License-Identifier: Apache-2.0
// Owns the proof of how the program starts and ends: help, exit codes, bad configuration and data, signals.
import assert from "node:assert/strict";
import {
    closeSync,
    openSync,
    readSync,
    readdirSync,
    statSync,
    writeFileSync,
    writeSync,
} from "node:fs";
import net from "node:net";
import path from "node:path";
import test from "node:test";

import { accounts, chain_id, sign } from "./harness/accounts.mjs";
import {
    Node,
    millrace_bin,
    millrace_only,
    run_program,
    start_node,
    temporary_dir,
} from "./harness/node.mjs";
import { HttpClient, wait_for } from "./harness/rpc.mjs";

const exit = { clean: 0, usage: 2, configuration: 3, database: 4, port_in_use: 7 };
const options = { skip: millrace_only, timeout: 120_000 };
const millrace = (...args) => run_program(millrace_bin, args);
const said = (done) => `${done.stdout}${done.stderr}`;

async function fill(node, count) {
    const rpc = new HttpClient(node.port);
    const receipts = [];
    const first = Number(
        await rpc.call("eth_getTransactionCount", [accounts[0].address, "latest"]),
    );
    for (let i = 0; i < count; i++) {
        const raw = await sign(accounts[0], {
            nonce: first + i,
            to: accounts[1].address,
            value: 1n,
        });
        receipts.push(await rpc.send_sync(raw));
    }
    rpc.close();
    return receipts;
}

test("--help and --version say what the program is", options, async () => {
    const help = await millrace("--help");
    assert.equal(help.code, exit.clean);
    for (const command of ["node", "evm", "db", "config", "completions"]) {
        assert.match(help.stdout, new RegExp(`\\b${command}\\b`));
    }
    const node = await millrace("node", "--help");
    assert.equal(node.code, exit.clean);
    for (const flag of ["--dev", "--datadir", "--http.addr", "--http.port"]) {
        assert.ok(node.stdout.includes(flag), `${flag} is missing`);
    }
    assert.ok(
        (node.stdout.match(/^ +(-\w, ?)?--/gm) ?? []).length < 60,
        "fewer than 60 flags are shown",
    );
    const version = await millrace("--version");
    assert.equal(version.code, exit.clean);
    assert.match(version.stdout, /\b\d+\.\d+\.\d+\b/);
});

test("the completions are valid shell", options, async (t) => {
    const done = await millrace("completions", "bash");
    assert.equal(done.code, exit.clean);
    const file = path.join(temporary_dir(t, "completions"), "millrace.bash");
    writeFileSync(file, done.stdout);
    const checked = await run_program("bash", ["-n", file]);
    assert.equal(checked.code, 0, checked.stderr);
});

test("a wrong command line is exit code 2 and names what was wrong", options, async () => {
    for (const args of [
        ["node", "--dev", "--no-such-flag"],
        ["nodes"],
        ["node", "--dev", "--http.port", "many"],
        ["node", "--http.port"],
    ]) {
        const done = await millrace(...args);
        assert.equal(done.code, exit.usage, `${args.join(" ")}: ${said(done)}`);
        assert.match(done.stderr, /no-such-flag|nodes|many|http\.port/);
    }
});

test("dev mode prints the URL, the chain id and ten funded accounts", options, async (t) => {
    const node = await start_node(t);
    assert.ok(node.log.includes(`127.0.0.1:${node.port}`), node.log);
    assert.ok(node.log.includes(`${chain_id}`));
    for (const { address } of accounts) {
        assert.match(node.log, new RegExp(address, "i"));
    }
});

test("SIGTERM and SIGINT end a loaded node cleanly in under ten seconds", options, async (t) => {
    for (const signal of ["SIGTERM", "SIGINT"]) {
        const node = await start_node(t);
        let sent = 0;
        const load = (async () => {
            const rpc = new HttpClient(node.port);
            try {
                for (let nonce = 0; ; nonce++) {
                    await rpc.call("eth_sendRawTransaction", [
                        await sign(accounts[3], { nonce, to: accounts[4].address }),
                    ]);
                    sent++;
                }
            } catch {
                rpc.close(); // The connection ends with the node.
            }
        })();
        await wait_for(() => sent >= 100, "a hundred transactions");
        const end = await node.stop(signal, 15_000);
        await load;
        assert.equal(end.code, exit.clean, `${signal}: ${end.signal}\n${node.log}`);
        assert.ok(end.stop_ms < 10_000, `${end.stop_ms} ms`);
    }
});

test("after a clean stop everything is there again", options, async (t) => {
    const datadir = temporary_dir(t);
    const first = await start_node(t, { datadir });
    const receipts = await fill(first, 20);
    assert.equal((await first.stop()).code, exit.clean);
    const second = await start_node(t, { datadir });
    const rpc = new HttpClient(second.port);
    t.after(() => rpc.close());
    for (const receipt of receipts) {
        const found = await rpc.call("eth_getTransactionReceipt", [receipt.transactionHash]);
        assert.deepEqual({ ...found, blockHash: "" }, { ...receipt, blockHash: "" });
    }
    assert.equal(
        await rpc.call("eth_getTransactionCount", [accounts[0].address, "latest"]),
        "0x14",
    );
});

/** Flips a bit in the middle of what was written to a file. */
function damage(file) {
    const content = Buffer.alloc(statSync(file).size);
    const fd = openSync(file, "r+");
    readSync(fd, content, 0, content.length, 0);
    // A log may be longer than what is written to it: the middle is that of the written part.
    const written = content.findLastIndex((byte) => byte !== 0) + 1;
    const place = Math.floor(written / 2);
    writeSync(fd, Buffer.from([content[place] ^ 0xff]), 0, 1, place);
    closeSync(fd);
}

test("a data directory keeps its state commitment", options, async (t) => {
    const roots = new Set();
    for (const [name, args, refused] of [
        ["qmdb-keccak256", [], ["--commitment", "mpt"]],
        ["qmdb-blake3", ["--state-hash", "blake3"], ["--state-hash", "sha256"]],
        ["qmdb-sha256", ["--commitment", "qmdb", "--state-hash", "sha256"], ["--commitment", "mpt"]],
        ["mpt", ["--commitment", "mpt"], ["--commitment", "qmdb"]],
    ]) {
        const datadir = temporary_dir(t);
        const first = await start_node(t, { datadir, args });
        await fill(first, 5);
        const rpc = new HttpClient(first.port);
        roots.add((await rpc.call("eth_getBlockByNumber", ["0x0", false])).stateRoot);
        rpc.close();
        assert.equal((await first.stop()).code, exit.clean);
        const wrong = await millrace("node", "--dev", "--datadir", datadir, ...refused);
        assert.equal(wrong.code, exit.configuration, said(wrong));
        assert.ok(said(wrong).includes(`has the state commitment '${name}'`), said(wrong));
        // Nobody has to remember what it was.
        const second = await start_node(t, { datadir });
        assert.match(second.log, new RegExp(`commitment=${name} `));
        assert.equal((await fill(second, 1)).length, 1);
        assert.equal((await second.stop("SIGKILL")).signal, "SIGKILL");
        const third = await start_node(t, { datadir });
        assert.equal((await third.stop()).code, exit.clean);
    }
    assert.equal(roots.size, 4, "each has a genesis of its own");
    const senseless = await millrace("node", "--dev", "--commitment", "mpt", "--state-hash", "blake3");
    assert.equal(senseless.code, exit.configuration, said(senseless));
});

test("damage to the state engine is exit code 4 and is located", options, async (t) => {
    const datadir = temporary_dir(t);
    const node = await start_node(t, { datadir });
    await fill(node, 60);
    assert.equal((await node.stop()).code, exit.clean);
    const [name] = readdirSync(path.join(datadir, "state"));
    damage(path.join(datadir, "state", name));
    const again = new Node(0, datadir, []);
    const end = await again.exited;
    assert.equal(end.code, exit.database, `${end.signal} ${again.log}`);
    assert.ok(again.log.includes(name), again.log);
});

test("a port in use is exit code 7 and is named", options, async (t) => {
    const holder = net.createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => holder.on("listening", resolve));
    const { port } = holder.address();
    t.after(() => holder.close());
    const node = new Node(port, temporary_dir(t), []);
    const end = await node.exited;
    assert.equal(end.code, exit.port_in_use, node.log);
    assert.ok(node.log.includes(`${port}`));
});

test(
    "a data directory in use refuses a second node and does not disturb the first",
    options,
    async (t) => {
        const datadir = temporary_dir(t);
        const first = await start_node(t, { datadir });
        const second = new Node(0, datadir, []);
        const end = await second.exited;
        assert.notEqual(end.code, exit.clean);
        assert.equal(end.signal, null, second.log);
        assert.ok(second.log.includes(datadir), second.log);
        await fill(first, 2);
    },
);

test("a data directory that cannot be one is refused with its name", options, async (t) => {
    const file = path.join(temporary_dir(t), "file");
    writeFileSync(file, "not a directory");
    const node = new Node(0, file, []);
    const end = await node.exited;
    assert.ok(
        [exit.configuration, exit.database].includes(end.code),
        `${end.code ?? end.signal}: ${node.log}`,
    );
    assert.ok(node.log.includes(file));
});

test("a bad configuration is exit code 3 with the place of the error", options, async (t) => {
    const dir = temporary_dir(t, "config");
    const cases = {
        "unknown.toml": ["[http]\nport = 8545\nportt = 1\n", /portt[^]*3|3[^]*portt/],
        "broken.toml": ["[http\nport = 8545\n", /1/],
        "wrong_type.toml": ['[http]\nport = "many"\n', /port/],
    };
    for (const [name, [text, message]] of Object.entries(cases)) {
        const file = path.join(dir, name);
        writeFileSync(file, text);
        const done = await millrace(
            "node",
            "--dev",
            "--datadir",
            path.join(dir, "data"),
            "--config",
            file,
        );
        assert.equal(done.code, exit.configuration, `${name}: ${said(done)}`);
        assert.match(said(done), message);
        assert.ok(said(done).includes(name), said(done));
    }
    const missing = await millrace(
        "node",
        "--dev",
        "--datadir",
        path.join(dir, "data"),
        "--config",
        path.join(dir, "none.toml"),
    );
    assert.equal(missing.code, exit.configuration, said(missing));
});

test(
    "a bad genesis, or another one than the data directory's, is exit code 3",
    options,
    async (t) => {
        const dir = temporary_dir(t, "genesis");
        const start = async (file, datadir = path.join(dir, "data")) =>
            millrace(
                "node",
                "--genesis",
                file,
                "--datadir",
                datadir,
                "--http.port",
                "0",
            );
        const genesis = (chain) =>
            JSON.stringify({
                config: { chainId: chain },
                alloc: {},
                gasLimit: "0x1c9c380",
                difficulty: "0x0",
            });
        for (const [name, text] of Object.entries({
            "not_json.json": "{",
            "no_config.json": "{}",
            "bad_balance.json":
                '{"config":{"chainId":5},"gasLimit":"0x1","difficulty":"0x0","alloc":{"0x00000000000000000000000000000000000000aa":{"balance":"lots"}}}',
            "bad_address.json":
                '{"config":{"chainId":5},"gasLimit":"0x1","difficulty":"0x0","alloc":{"0xaa":{"balance":"1"}}}',
        })) {
            const file = path.join(dir, name);
            writeFileSync(file, text);
            const done = await start(file);
            assert.equal(
                done.code,
                exit.configuration,
                `${name}: ${done.code ?? done.signal} ${said(done)}`,
            );
            assert.ok(said(done).includes(name), said(done));
        }
        const datadir = temporary_dir(t);
        const node = await start_node(t, { datadir });
        await fill(node, 1);
        await node.stop();
        const other = path.join(dir, "other.json");
        writeFileSync(other, genesis(77));
        const done = await start(other, datadir);
        assert.equal(done.code, exit.configuration, said(done));
        assert.match(said(done), /77|31337|genesis/);
    },
);

test("damage in the middle of the log is exit code 4 and is located", options, async (t) => {
    const datadir = temporary_dir(t);
    const node = await start_node(t, { datadir });
    await fill(node, 60);
    await node.stop("SIGKILL"); // No clean stop, so that the log has to be read again.
    const files = readdirSync(datadir, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
        .filter(
            (file) => /log|wal/i.test(path.relative(datadir, file)) && statSync(file).size > 4096,
        );
    assert.ok(files.length > 0, "the data directory has a log");
    const log = files[0];
    damage(log);
    const again = new Node(0, datadir, []);
    const end = await again.exited;
    assert.equal(end.code, exit.database, `${end.signal} ${again.log}`);
    assert.ok(again.log.includes(path.basename(log)), again.log);
});
