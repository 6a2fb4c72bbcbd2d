// SPDX-License-Identifier: Apache-2.0
// Owns the proof that bad input gets a clear error and harms nothing: malformed requests, transactions and
// frames, limits, host checks, and the probes of health.
import assert from "node:assert/strict";
import net from "node:net";
import test from "node:test";

import WebSocket from "ws";

import { accounts, ether, random, sign } from "./harness/accounts.mjs";
import { compile } from "./harness/contracts.mjs";
import { is_anvil, millrace_only, start_node } from "./harness/node.mjs";
import { HttpClient, WsClient } from "./harness/rpc.mjs";

/** Writes bytes to a fresh connection and gives what comes back until the node closes it or it falls silent. */
const raw_exchange = (port, bytes, silence_ms = 500) =>
    new Promise((resolve) => {
        let seen = "";
        const socket = net.connect(port, "127.0.0.1", () => socket.write(bytes));
        socket.setTimeout(silence_ms, () => socket.destroy());
        socket.on("data", (data) => (seen += data.toString("latin1")));
        socket.on("error", () => {}); // A reset is one way to end a bad connection.
        socket.on("close", () => resolve(seen));
    });

test("requests", async (t) => {
    const node = await start_node(t);
    const rpc = new HttpClient(node.port);
    t.after(() => rpc.close());
    const [sender, receiver] = accounts;
    const alive = async () => assert.equal(await rpc.call("eth_chainId"), "0x7a69");
    t.afterEach(alive);

    await t.test(
        "text that is not JSON is a parse error with id null",
        { skip: millrace_only },
        async () => {
            for (const body of [
                "",
                "{",
                "nonsense",
                '{"jsonrpc":"2.0",',
                "\u0000",
                "[".repeat(100_000),
                "{".repeat(100_000),
            ]) {
                const answer = JSON.parse((await rpc.post(body)).body);
                assert.equal(answer.error.code, -32700, body.slice(0, 20));
                assert.equal(answer.id, null);
            }
        },
    );

    await t.test(
        "JSON that is not a request is an invalid request",
        { skip: millrace_only },
        async () => {
            for (const body of [
                "7",
                '"eth_chainId"',
                "null",
                "[]",
                "{}",
                '{"jsonrpc":"2.0","id":1}',
                '{"jsonrpc":"2.0","id":1,"method":5}',
            ]) {
                const answer = JSON.parse((await rpc.post(body)).body);
                assert.equal(answer.error.code, -32600, body);
            }
        },
    );

    await t.test("an unknown method is -32601 and is named", async () => {
        const answer = await rpc.answer("eth_fooBar", []);
        assert.equal(answer.error.code, -32601);
        if (!is_anvil) {
            assert.match(answer.error.message, /eth_fooBar/);
        }
    });

    await t.test("wrong parameters are -32602", async () => {
        for (const [method, params] of [
            ["eth_getBalance", []],
            ["eth_getBalance", ["0x1234", "latest"]],
            ["eth_getBalance", [sender.address, "newest"]],
            ["eth_getBalance", [5, "latest"]],
            ["eth_getBlockByNumber", ["latest", "yes"]],
            ["eth_getTransactionReceipt", ["0x12"]],
            ["eth_call", ["latest"]],
            ["eth_sendRawTransaction", ["zz"]],
        ]) {
            const answer = await rpc.answer(method, params);
            assert.equal(
                answer.error?.code,
                -32602,
                `${method} ${JSON.stringify(params)}: ${JSON.stringify(answer)}`,
            );
        }
    });

    await t.test("an id comes back as it was sent", async () => {
        for (const id of [1, 0, "a", "1", 9007199254740991]) {
            const body = JSON.stringify({ jsonrpc: "2.0", id, method: "eth_chainId", params: [] });
            assert.deepEqual(JSON.parse((await rpc.post(body)).body), {
                jsonrpc: "2.0",
                id,
                result: "0x7a69",
            });
        }
    });

    await t.test("a batch answers each member, good or bad", async () => {
        const batch = [
            { jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] },
            { jsonrpc: "2.0", id: 2, method: "eth_fooBar", params: [] },
            { jsonrpc: "2.0", id: 3, method: "eth_getBalance", params: [] },
            { jsonrpc: "2.0", id: 4, method: "eth_blockNumber", params: [] },
        ];
        const answers = JSON.parse((await rpc.post(JSON.stringify(batch))).body);
        const by_id = new Map(answers.map((answer) => [answer.id, answer]));
        assert.equal(by_id.size, 4);
        assert.equal(by_id.get(1).result, "0x7a69");
        assert.equal(by_id.get(2).error.code, -32601);
        assert.equal(by_id.get(3).error.code, -32602);
        assert.match(by_id.get(4).result, /^0x/);
    });

    await t.test(
        "a batch and a body above the limit are refused without harm",
        { skip: millrace_only, timeout: 120_000 },
        async () => {
            const one = JSON.stringify({
                jsonrpc: "2.0",
                id: 1,
                method: "eth_chainId",
                params: [],
            });
            const batch = await rpc.post(`[${Array(50_000).fill(one).join(",")}]`);
            const text = batch.body.slice(0, 500);
            assert.ok(
                batch.status === 413 || /-32\d\d\d|too (large|many|big)/.test(text),
                `${batch.status} ${text}`,
            );
            const head =
                "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4000000000\r\n\r\n";
            // The node closes this connection: silence only ends a test that fails.
            assert.match(await raw_exchange(node.port, head, 60_000), /^HTTP\/1\.1 413/);
        },
    );

    await t.test("bytes that are not HTTP end the connection, not the node", async () => {
        await raw_exchange(
            node.port,
            Buffer.from("\u0016\u0003\u0001 not http \r\n\r\n", "latin1"),
        );
        await raw_exchange(
            node.port,
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        );
        await raw_exchange(
            node.port,
            `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"a".repeat(200_000)}\r\n\r\n`,
        );
        await raw_exchange(
            node.port,
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{",
            100,
        );
    });

    await t.test(
        "a foreign host name and a foreign origin are refused",
        { skip: millrace_only },
        async () => {
            const body = JSON.stringify({
                jsonrpc: "2.0",
                id: 1,
                method: "eth_chainId",
                params: [],
            });
            assert.equal((await rpc.post(body, { headers: { host: "evil.example" } })).status, 403);
            const foreign = await rpc.post(body, { headers: { origin: "http://evil.example" } });
            assert.equal(foreign.headers["access-control-allow-origin"], undefined);
            const local = await rpc.post(body, { headers: { host: `localhost:${node.port}` } });
            assert.equal(local.status, 200);
            await new Promise((resolve, reject) => {
                const socket = new WebSocket(node.ws_url, { origin: "http://evil.example" });
                socket.on("open", () =>
                    reject(new Error("a WebSocket of a foreign origin was accepted")),
                );
                socket.on("error", resolve);
            });
        },
    );

    await t.test("a raw transaction that is damaged is refused with a reason", async (t) => {
        const good = await sign(sender, { nonce: 0, to: receiver.address, value: 1n });
        const trailing = is_anvil ? [] : [`${good}00`]; // anvil takes bytes after the transaction.
        const cut = [good.slice(0, -2), `0x03${good.slice(4)}`];
        for (const raw of ["0x", "0x00", "0x02", "0x02c0", "0xc0", "0x05c0", ...cut, ...trailing]) {
            const { error, result } = await rpc.answer("eth_sendRawTransaction", [raw]);
            assert.ok(error, `${raw} was accepted as ${result}`);
            assert.ok(error.message.length > 5);
        }
        const next = random(t);
        const bytes = Buffer.from(good.slice(2), "hex");
        for (let i = 0; i < 300; i++) {
            const damaged = Buffer.from(bytes);
            for (let flips = 1 + Math.floor(next() * 3); flips > 0; flips--) {
                damaged[Math.floor(next() * damaged.length)] ^= 1 << Math.floor(next() * 8);
            }
            // A flipped bit may leave a valid signature of some other, penniless sender: also an error.
            const { error, result } = await rpc.answer("eth_sendRawTransaction", [
                `0x${damaged.toString("hex")}`,
            ]);
            assert.ok(
                error || damaged.equals(bytes),
                `${damaged.toString("hex")} was accepted as ${result}`,
            );
        }
    });

    await t.test("a transaction that the rules forbid is refused in the known words", async () => {
        const refused = async (fields, message) => {
            const raw = await sign(accounts[9], { nonce: 0, to: receiver.address, ...fields });
            const { error } = await rpc.answer("eth_sendRawTransaction", [raw]);
            assert.match(error?.message ?? "accepted", message);
        };
        await refused({ gasLimit: 20_999n }, /intrinsic gas too low/);
        await refused({ value: 20_000n * ether }, /insufficient funds/i);
        await refused({ chainId: 1 }, /chain id/i);
        const raw = await sign(accounts[9], { nonce: 0, to: receiver.address });
        await rpc.send_sync(raw);
        const { error } = await rpc.answer("eth_sendRawTransaction", [
            await sign(accounts[9], { nonce: 0, to: sender.address }),
        ]);
        assert.match(error.message, /nonce too low/);
    });

    await t.test("a revert is code 3 with its data, in eth_call and eth_estimateGas", async () => {
        const { bytecode } = compile("Counter");
        const data = bytecode + "0".repeat(64);
        const raw = await sign(accounts[8], { nonce: 0, to: null, data, gasLimit: 1_000_000n });
        const { contractAddress } = await rpc.send_sync(raw);
        const call = {
            to: contractAddress,
            data: `0x60fe47b1${(5000).toString(16).padStart(64, "0")}`,
        };
        for (const [method, params] of [
            ["eth_call", [call, "latest"]],
            ["eth_estimateGas", [call]],
        ]) {
            const { error } = await rpc.answer(method, params);
            assert.equal(error.code, 3, method);
            assert.equal(
                error.data.slice(10),
                (5000).toString(16).padStart(64, "0") + (1000).toString(16).padStart(64, "0"),
            );
        }
    });

    await t.test("what is not there is null, not an error", async () => {
        const unknown = `0x${"ab".repeat(32)}`;
        assert.equal(await rpc.call("eth_getTransactionByHash", [unknown]), null);
        assert.equal(await rpc.call("eth_getTransactionReceipt", [unknown]), null);
        assert.equal(await rpc.call("eth_getBlockByHash", [unknown, false]), null);
        assert.equal(await rpc.call("eth_getBlockByNumber", ["0xffffffff", false]), null);
    });

    await t.test("the small methods answer", async () => {
        assert.equal(await rpc.call("net_version"), "31337");
        assert.equal(await rpc.call("net_listening"), true);
        assert.equal(await rpc.call("eth_syncing"), false);
        assert.match(await rpc.call("web3_clientVersion"), is_anvil ? /anvil/ : /millrace/i);
        assert.equal(
            await rpc.call("web3_sha3", ["0x"]),
            "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
        );
        const listed = await rpc.call("eth_accounts");
        assert.deepEqual(
            listed.map((address) => address.toLowerCase()),
            accounts.map(({ address }) => address.toLowerCase()),
        );
        assert.ok(BigInt(await rpc.call("eth_gasPrice")) > 0n);
        assert.ok((await rpc.call("eth_getBlockReceipts", ["latest"])) instanceof Array);
        const status = await rpc.call("txpool_status");
        assert.deepEqual(Object.keys(status).sort(), ["pending", "queued"]);
    });

    await t.test("the probes and the metrics answer", { skip: millrace_only }, async () => {
        for (const probe of ["/livez", "/readyz"]) {
            const answer = await rpc.post("", { method: "GET", path: probe });
            assert.equal(answer.status, 200, probe);
            JSON.parse(answer.body);
        }
        const metrics = await rpc.post("", { method: "GET", path: "/metrics" });
        assert.equal(metrics.status, 200);
        assert.match(metrics.headers["content-type"], /^text\/plain/);
        const names = metrics.body.split("\n").filter((line) => line && !line.startsWith("#"));
        assert.ok(
            names.length > 5 && names.every((line) => line.startsWith("millrace_")),
            metrics.body.slice(0, 400),
        );
        assert.equal((await rpc.post("", { method: "GET", path: "/nowhere" })).status, 404);
    });

    await t.test(
        "a WebSocket survives bad frames and answers the next good one",
        { skip: millrace_only },
        async () => {
            const live = await WsClient.open(node.ws_url);
            const errors = [];
            live.socket.on("message", (data) => errors.push(JSON.parse(data.toString())));
            live.socket.send("{not json");
            live.socket.send(Buffer.from([0xff, 0xfe, 0x00]));
            assert.equal(await live.call("eth_chainId"), "0x7a69");
            assert.equal(errors.filter((answer) => answer.error?.code === -32700).length, 2);
            await assert.rejects(
                live.call("eth_subscribe", ["nothing"]),
                (error) => error.code === -32602 || error.code === -32601,
            );
            live.close();
        },
    );

    await t.test("a hundred connections at once are served", async () => {
        const clients = Array.from({ length: 100 }, () => new HttpClient(node.port));
        const answers = await Promise.all(clients.map((client) => client.call("eth_blockNumber")));
        clients.forEach((client) => client.close());
        assert.equal(answers.length, 100);
    });
});
