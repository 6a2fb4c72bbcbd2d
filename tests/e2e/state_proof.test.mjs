// SPDX-License-Identifier: Apache-2.0
// Owns the proof that the contract of storage/proof/solidity checks proofs of the state engine as the C++ verifier does.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { Contract, ContractFactory, Interface, JsonRpcProvider, Wallet, keccak256 } from "ethers";

import { accounts, random } from "./harness/accounts.mjs";
import { compile_file } from "./harness/contracts.mjs";
import { Node, e2e_dir, free_port, run_program, temporary_dir } from "./harness/node.mjs";

const cases_bin =
    process.env.MILLRACE_PROOF_CASES ??
    path.join(e2e_dir, "../../build/release/tests/storage/qmdb/state_proof_cases");
const anvil_bin = path.join(e2e_dir, "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");

const bytes_of = (hex) => Buffer.from(hex.slice(2), "hex");
const hex_of = (bytes) => `0x${bytes.toString("hex")}`;

/** The parts of a proof's encoding; storage/proof/state_proof.hpp has the format. */
function take_apart(hex) {
    const data = bytes_of(hex);
    const end = 2 + data.readUInt16BE(0);
    const siblings = [];
    for (let at = end + 48; at < data.length; at += 32) {
        siblings.push(data.subarray(at, at + 32));
    }
    return {
        entry: data.subarray(2, end),
        serial_count: data.readBigUInt64BE(end),
        nulls: data.readBigUInt64BE(end + 8),
        bits: data.subarray(end + 16, end + 48),
        siblings,
    };
}

function put_together({ entry, serial_count, nulls, bits, siblings }) {
    const head = Buffer.alloc(2);
    head.writeUInt16BE(entry.length);
    const counts = Buffer.alloc(16);
    counts.writeBigUInt64BE(serial_count);
    counts.writeBigUInt64BE(nulls, 8);
    return hex_of(Buffer.concat([head, entry, counts, bits, ...siblings]));
}

for (const kind of ["millrace", "anvil"]) {
    const absent = kind === "anvil" && !existsSync(anvil_bin) ? "anvil is not installed" : false;
    test(`the verifier of state proofs on ${kind}`, { skip: absent }, async (t) => {
        const pick = random(t);
        const made = await run_program(cases_bin, []);
        assert.equal(made.code, 0, made.stderr);
        const { root, cases } = JSON.parse(made.stdout);
        const node = new Node(await free_port(), temporary_dir(t), kind === "anvil" ? ["--silent"] : [], kind);
        t.after(() => node.stop("SIGKILL"));
        await node.ready();
        const provider = new JsonRpcProvider(node.url, undefined, { cacheTimeout: -1, batchMaxCount: 1 });
        t.after(() => provider.destroy());
        const { abi, bytecode } = compile_file("storage/proof/solidity/StateProof.sol", "StateProofVerifier");
        const owner = new Wallet(accounts[0].private_key, provider);
        const deployed = await (await new ContractFactory(abi, bytecode, owner).deploy()).waitForDeployment();
        const address = await deployed.getAddress();
        const contract = new Contract(address, abi, provider);
        const errors = new Interface(["error InvalidProof(uint8 reason)"]);
        /** The reason of a refusal, or null for a proof that is taken. */
        const refusal = async (proof, { of = root, key }) => {
            try {
                await contract.verify(of, key, proof);
                return null;
            } catch (error) {
                const data = error.data ?? error.info?.error?.data;
                assert.ok(data, `reverted without data: ${error.message}`);
                return Number(errors.parseError(data).args.reason);
            }
        };
        const reasons = { length: 0, key: 1, entry: 2, dead: 3, siblings: 4, root: 5, other_key: 6 };

        await t.test("proves what is there and what is not", async (t) => {
            let gas = { present: 0n, absent: 0n };
            let bytes = 0;
            for (const { key, value, proof } of cases) {
                const [present, proven] = await contract.verify(root, key, proof);
                assert.equal(present, value !== null);
                assert.equal(proven, value ?? "0x");
                const call = await provider.send("eth_estimateGas", [
                    { to: address, data: contract.interface.encodeFunctionData("verify", [root, key, proof]) },
                ]);
                const name = value === null ? "absent" : "present";
                gas[name] = BigInt(call) > gas[name] ? BigInt(call) : gas[name];
                bytes = Math.max(bytes, (proof.length - 2) / 2);
            }
            assert.ok(cases.some(({ value }) => value === null) && cases.some(({ value }) => value !== null));
            assert.ok(gas.present > 21_000n && gas.present < 120_000n, `${gas.present}`);
            t.diagnostic(`gas of a whole transaction: ${gas.present} present, ${gas.absent} absent; ${bytes} bytes at most`);
        });

        await t.test("refuses every proof with a changed byte", async () => {
            const chosen = [cases.find((c) => c.value !== null), cases.find((c) => c.value === null)];
            for (const { key, proof } of chosen) {
                const good = bytes_of(proof);
                for (let at = 0; at < good.length; ++at) {
                    const bad = Buffer.from(good);
                    bad[at] ^= 1 << Math.floor(pick() * 8);
                    assert.notEqual(await refusal(hex_of(bad), { key }), null, `byte ${at}`);
                }
            }
        });

        await t.test("refuses each field when it is forged", async () => {
            const { key, proof } = cases.find((c) => c.value !== null);
            const whole = take_apart(proof);
            assert.equal(put_together(whole), proof);
            const forged = (change) => refusal(put_together({ ...whole, ...change }), { key });
            const bits_with = (fill) => Buffer.alloc(32, fill);
            assert.equal(await forged({}), null);
            assert.equal(await forged({ bits: bits_with(0) }), reasons.dead);
            assert.equal(await forged({ bits: bits_with(0xff) }), reasons.root);
            assert.equal(await forged({ serial_count: 0n }), reasons.dead);
            assert.equal(await forged({ serial_count: whole.serial_count + 1n }), reasons.root);
            assert.equal(await forged({ serial_count: (1n << 48n) + 1n }), reasons.dead);
            assert.equal(await forged({ serial_count: 1n << 48n }), reasons.siblings);
            assert.equal(await forged({ nulls: whole.nulls ^ 1n }), reasons.siblings);
            assert.equal(await forged({ nulls: whole.nulls | (1n << 63n) }), reasons.siblings);
            assert.equal(await forged({ siblings: whole.siblings.slice(1) }), reasons.siblings);
            const more = [...whole.siblings, Buffer.alloc(32)];
            assert.equal(await forged({ siblings: more }), reasons.siblings);
            // A sibling that stands for nothing must be left out: here that of a leaf, then of others.
            const levels = whole.siblings.length - 4 + [...whole.nulls.toString(2)].filter((b) => b === "1").length;
            let none = Buffer.alloc(32);
            let sent = 0;
            let checked = 0;
            for (let level = 0; level < levels; ++level) {
                if (level === 8) {
                    none = bytes_of(keccak256(Buffer.concat([none, Buffer.alloc(32)])));
                }
                if ((whole.nulls >> BigInt(level)) & 1n) {
                    const siblings = [...whole.siblings];
                    siblings.splice(sent, 0, none);
                    const nulls = whole.nulls ^ (1n << BigInt(level));
                    assert.equal(await forged({ nulls, siblings }), reasons.siblings, `level ${level}`);
                    ++checked;
                } else {
                    ++sent;
                }
                none = bytes_of(keccak256(Buffer.concat([none, none])));
            }
            assert.ok(checked > 0, "the example has siblings that stand for nothing");
            // Entries that nobody may encode: another tag, a longer varint, bytes behind it.
            const entry = (change) => {
                const bad = Buffer.from(whole.entry);
                change(bad);
                return bad;
            };
            assert.equal(await forged({ entry: entry((e) => (e[0] = 2)) }), reasons.entry);
            assert.equal(await forged({ entry: entry((e) => (e[1] = 1)) }), reasons.entry);
            const longer = Buffer.concat([whole.entry, Buffer.alloc(1)]);
            assert.equal(await forged({ entry: longer }), reasons.entry);
            const padded = Buffer.concat([
                whole.entry.subarray(0, 65),
                Buffer.from([whole.entry[65] | 0x80, 0]),
                whole.entry.subarray(66),
            ]);
            assert.ok(whole.entry[65] < 0x80);
            assert.equal(await forged({ entry: padded }), reasons.entry);
            assert.equal(await refusal("0x", { key }), reasons.length);
            assert.equal(await refusal(hex_of(bytes_of(proof).subarray(0, 60)), { key }), reasons.length);
        });

        await t.test("a proof is about its own key and root only", async () => {
            const present = cases.find((c) => c.value !== null);
            const gone = cases.find((c) => c.value === null);
            assert.equal(await refusal(present.proof, { key: present.key, of: keccak256(root) }), reasons.root);
            assert.equal(await refusal(gone.proof, { key: present.key }), reasons.other_key);
            const shard = (key) => key.slice(0, 3);
            for (const other of cases) {
                if (shard(other.key) !== shard(present.key)) {
                    assert.equal(await refusal(present.proof, { key: other.key }), reasons.other_key);
                }
            }
            const reserved = `0x7${"0".repeat(62)}1`;
            assert.equal(await refusal(present.proof, { key: reserved }), reasons.key);
            // The entry of a key that is there proves nothing about smaller keys.
            const smaller = `0x${(BigInt(present.key) - 1n).toString(16).padStart(64, "0")}`;
            assert.equal(await refusal(present.proof, { key: smaller }), reasons.other_key);
        });
    });
}
