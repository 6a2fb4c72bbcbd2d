// SPDX-License-Identifier: Apache-2.0
// Owns two thin JSON-RPC clients without a library between the test and the bytes: HTTP with one
// kept-alive connection, and WebSocket with subscriptions.
import http from "node:http";

import WebSocket from "ws";

/** A JSON-RPC error answer, with its `code` and `data`. */
export class RpcError extends Error {
    constructor(error) {
        super(`${error.code}: ${error.message}`);
        this.code = error.code;
        this.data = error.data;
    }
}

/** Milliseconds that eth_sendRawTransactionSync is told to wait: the default of 2 s is less than a machine may stall. */
export const sync_timeout_ms = 30_000;

/** JSON-RPC over one kept-alive HTTP connection. */
export class HttpClient {
    #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    #id = 0;

    constructor(port) {
        this.port = port;
    }

    /** POSTs bytes as they are. Gives {status, headers, body}. */
    post(body, { headers = {}, path = "/", method = "POST", timeout_ms = 60_000 } = {}) {
        return new Promise((resolve, reject) => {
            const request = http.request(
                {
                    host: "127.0.0.1",
                    port: this.port,
                    path,
                    method,
                    agent: this.#agent,
                    headers: {
                        "content-type": "application/json",
                        "content-length": Buffer.byteLength(body),
                        ...headers,
                    },
                    timeout: timeout_ms,
                },
                (response) => {
                    const parts = [];
                    response.on("data", (part) => parts.push(part));
                    response.on("error", reject);
                    response.on("end", () => {
                        const text = Buffer.concat(parts).toString();
                        resolve({
                            status: response.statusCode,
                            headers: response.headers,
                            body: text,
                        });
                    });
                },
            );
            request.on("timeout", () =>
                request.destroy(new Error(`no answer in ${timeout_ms} ms`)),
            );
            request.on("error", reject);
            request.end(body);
        });
    }

    /** The whole answer object, errors included. */
    async answer(method, params, options) {
        const id = ++this.#id;
        const reply = await this.post(
            JSON.stringify({ jsonrpc: "2.0", id, method, params }),
            options,
        );
        return JSON.parse(reply.body);
    }

    /** The result; throws RpcError on an error answer. */
    async call(method, params = [], options) {
        const reply = await this.answer(method, params, options);
        if (reply.error) {
            throw new RpcError(reply.error);
        }
        return reply.result;
    }

    /** One batch; gives the results in the order of `calls` ([method, params] each). */
    async batch(calls) {
        const first = this.#id + 1;
        this.#id += calls.length;
        const request = calls.map(([method, params], i) => ({
            jsonrpc: "2.0",
            id: first + i,
            method,
            params,
        }));
        const answers = JSON.parse((await this.post(JSON.stringify(request))).body);
        const by_id = new Map(answers.map((answer) => [answer.id, answer]));
        return request.map(({ id }) => {
            const answer = by_id.get(id);
            if (!answer || answer.error) {
                throw answer
                    ? new RpcError(answer.error)
                    : new Error(`the batch gave no answer to id ${id}`);
            }
            return answer.result;
        });
    }

    /** eth_sendRawTransactionSync of signed bytes; gives the receipt. */
    send_sync(raw) {
        return this.call("eth_sendRawTransactionSync", [raw, sync_timeout_ms]);
    }

    close() {
        this.#agent.destroy();
    }
}

/** JSON-RPC over WebSocket. */
export class WsClient {
    #id = 0;
    #waiting = new Map();
    #subscriptions = new Map();
    #early = new Map();

    static open(url) {
        return new Promise((resolve, reject) => {
            const client = new WsClient();
            client.socket = new WebSocket(url, { perMessageDeflate: false });
            client.socket.on("open", () => resolve(client));
            client.socket.on("error", (error) => {
                client.error = error;
                reject(error);
            });
            client.socket.on("close", () => client.#fail(new Error("the WebSocket was closed")));
            client.socket.on("message", (data) => client.#take(JSON.parse(data.toString())));
        });
    }

    #fail(error) {
        for (const { reject } of this.#waiting.values()) {
            reject(error);
        }
        this.#waiting.clear();
    }

    #take(message) {
        if (message.method === "eth_subscription") {
            const { subscription, result } = message.params;
            const listener = this.#subscriptions.get(subscription);
            if (listener) {
                listener(result);
            } else {
                // A notification may overtake the continuation that registers its listener.
                this.#early.set(subscription, [...(this.#early.get(subscription) ?? []), result]);
            }
            return;
        }
        const waiting = this.#waiting.get(message.id);
        if (waiting) {
            this.#waiting.delete(message.id);
            message.error
                ? waiting.reject(new RpcError(message.error))
                : waiting.resolve(message.result);
        }
    }

    call(method, params = []) {
        const id = ++this.#id;
        return new Promise((resolve, reject) => {
            this.#waiting.set(id, { resolve, reject });
            this.socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
        });
    }

    /** eth_subscribe; `listener` gets every result. Gives the subscription's id. */
    async subscribe(params, listener) {
        const id = await this.call("eth_subscribe", params);
        this.#subscriptions.set(id, listener);
        for (const result of this.#early.get(id) ?? []) {
            listener(result);
        }
        this.#early.delete(id);
        return id;
    }

    close() {
        this.socket.terminate();
    }
}

/** Waits until `condition()` gives something true, and gives it. */
export async function wait_for(condition, what, timeout_ms = 60_000) {
    const deadline = performance.now() + timeout_ms;
    for (;;) {
        const value = await condition();
        if (value) {
            return value;
        }
        if (performance.now() > deadline) {
            throw new Error(`waited ${timeout_ms} ms in vain for ${what}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
}
