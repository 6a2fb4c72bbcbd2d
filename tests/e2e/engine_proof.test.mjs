// SPDX-License-Identifier: Apache-2.0
// Owns the proof that millrace_getProof and reads at old blocks answer as documented: every proof is taken by the verifier that
// stands alone and by the contract of storage/proof/solidity, and old states are those that the node gave when they were new.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { Contract, ContractFactory, JsonRpcProvider, Wallet, keccak256, solidityPackedKeccak256, toBeHex, toQuantity, zeroPadValue } from "ethers";

import { accounts, ether, random, sign } from "./harness/accounts.mjs";
import { compile, compile_file } from "./harness/contracts.mjs";
import { e2e_dir, millrace_bin, millrace_only, run_program, start_node, temporary_dir } from "./harness/node.mjs";
import { HttpClient, RpcError, wait_for } from "./harness/rpc.mjs";

const verifier_bin =
    process.env.MILLRACE_PROOF_ALONE ??
    path.join(e2e_dir, "../../build/release/tests/storage/proof/state_proof_alone");

const word = (value) => zeroPadValue(toBeHex(value), 32);
const account_key = (address) => solidityPackedKeccak256(["uint8", "address"], [1, address]);
const slot_key = (address, slot) =>
    solidityPackedKeccak256(["uint8", "address", "uint256"], [2, address, slot]);
const empty_code = keccak256("0x");

/** A number of an account's leaf (storage/proof/state_leaf.hpp): its length, then its digits. */
function take_number(leaf) {
    const length = leaf[0];
    const number = BigInt(`0x0${leaf.subarray(1, 1 + length).toString("hex")}`);
    return [number, leaf.subarray(1 + length)];
}

/** What the leaves say, read by the documentation. */
function check_fields(answer, address, slots) {
    assert.equal(answer.address, address.toLowerCase());
    assert.equal(answer.account.key, account_key(address));
    const { leaf } = answer.account;
    if (leaf === null) {
        assert.equal(BigInt(answer.account.nonce) + BigInt(answer.account.balance), 0n);
        assert.equal(answer.account.codeHash, empty_code);
        assert.equal(answer.account.ordinal, null);
        assert.equal(answer.account.incarnation, null);
    } else {
        let rest = Buffer.from(leaf.slice(2), "hex");
        for (const name of ["nonce", "balance", "ordinal", "incarnation"]) {
            let number;
            [number, rest] = take_number(rest);
            assert.equal(BigInt(answer.account[name]), number, name);
        }
        assert.equal(answer.account.codeHash, rest.length === 0 ? empty_code : `0x${rest.toString("hex")}`);
    }
    assert.equal(answer.storage.length, slots.length);
    answer.storage.forEach(({ slot, value, key, leaf: stored }, i) => {
        assert.equal(slot, word(slots[i]));
        assert.equal(key, slot_key(address, slots[i]));
        assert.equal(value, stored === null ? word(0) : zeroPadValue(stored, 32));
    });
}

test("proofs of the state engine and old states", { skip: millrace_only, timeout: 400_000 }, async (t) => {
    const pick = random(t);
    const datadir = path.join(temporary_dir(t), "data");
    const scratch = temporary_dir(t, "proofs");
    // Nothing old is in memory.
    const args = ["--history-records", "1", "--history", "2000", "--block-ms", "200"];
    let node = await start_node(t, { datadir, args });
    let rpc = new HttpClient(node.port);
    t.after(() => rpc.close());
    const provider = new JsonRpcProvider(node.url, undefined, { cacheTimeout: -1, batchMaxCount: 1 });
    const owner = new Wallet(accounts[0].private_key, provider);
    const deploy = async ({ abi, bytecode }) => {
        const inputs = abi.find((item) => item.type === "constructor")?.inputs ?? [];
        const values = inputs.map(({ type }) => (type === "string" ? "T" : type === "address" ? owner.address : 10n ** 24n));
        const contract = await new ContractFactory(abi, bytecode, owner).deploy(...values);
        await contract.waitForDeployment();
        return contract;
    };
    const token = await deploy(compile("Token"));
    const token_address = await token.getAddress();
    const verifier = await deploy(compile_file("storage/proof/solidity/StateProof.sol", "StateProofVerifier"));
    const verifier_address = await verifier.getAddress();
    const stranger = `0x${"5".repeat(40)}`;
    const slots = [0n, 1n, 2n, 3n, 7n, 1n << 255n];
    const head = async () => Number(await rpc.call("eth_blockNumber"));
    const at = async (number) => {
        await wait_for(async () => (await head()) >= number, `block ${number}`);
    };

    /** Both verifiers, and the fields, say that the answers are right and belong to that block. */
    async function check(answers, together, { number, block, address }) {
        for (const answer of [answers, together]) {
            assert.equal(Number(answer.blockNumber), number);
            assert.equal(answer.blockHash, block.hash);
            assert.equal(answer.stateRoot, block.stateRoot);
            assert.equal(answer.nodeHash, "keccak256");
            check_fields(answer, address, slots);
        }
        const leaves = [answers.account, ...answers.storage].sort((a, b) => (a.key < b.key ? -1 : 1));
        const cases = leaves.map(({ key, leaf, proof }) => ({ key, value: leaf, proof }));
        assert.deepEqual(together.multiproof.keys, cases.map(({ key }) => key));
        const file = path.join(scratch, "answers.json");
        const text = { root: block.stateRoot, cases, multiproof: together.multiproof.proof };
        writeFileSync(file, JSON.stringify(text, null, 1));
        const done = await run_program(verifier_bin, [file]);
        assert.equal(done.code, 0, done.stderr);
        assert.equal(done.stdout.trim(), `${cases.length} keys are proven`);
        return cases;
    }
    const ask = async (address, number) => {
        const block = await rpc.call("eth_getBlockByNumber", [number, false]);
        const params = [address, slots.map(word), number];
        const single = await rpc.call("millrace_getProof", params);
        const multi = await rpc.call("millrace_getProof", [...params, "multi"]);
        assert.equal(single.multiproof, undefined);
        assert.equal(multi.account.proof, undefined);
        return check(single, multi, { number: Number(number), block, address });
    };

    await t.test("proves accounts and slots that are there and that are not", async () => {
        await at((await token.deploymentTransaction().wait()).blockNumber + 1);
        const number = await rpc.call("eth_blockNumber");
        let present = 0;
        for (const address of [owner.address, token_address, stranger]) {
            const cases = await ask(address, number);
            present += cases.filter(({ value }) => value !== null).length;
            assert.equal(cases.some(({ value }) => value === null), true);
        }
        assert.ok(present > 3, `${present} leaves`);
    });

    await t.test("the contract takes each single proof", async () => {
        const { stateRoot, account, storage } = await rpc.call("millrace_getProof", [token_address, slots.map(word), "latest"]);
        for (const { key, leaf, proof } of [account, ...storage]) {
            const [there, value] = await verifier.verify(stateRoot, key, proof);
            assert.equal(there, leaf !== null);
            assert.equal(value, leaf ?? "0x");
            const bad = Buffer.from(proof.slice(2), "hex");
            bad[Math.floor(pick() * bad.length)] ^= 1 << Math.floor(pick() * 8);
            await assert.rejects(verifier.verify(stateRoot, key, `0x${bad.toString("hex")}`));
        }
    });

    const seen = []; // What the node said of blocks when they were new.
    const reads = (address, number) => [
        ["eth_getBalance", [address, number]],
        ["eth_getTransactionCount", [address, number]],
        ["eth_getCode", [address, number]],
        ["eth_getStorageAt", [token_address, word(2), number]],
        ["eth_call", [{ to: token_address, data: token.interface.encodeFunctionData("balanceOf", [address]) }, number]],
    ];
    const fresh = Array.from({ length: 8 }, (_, i) => `0x${(0xabc000 + i).toString(16).padStart(40, "0")}`);

    await t.test("old blocks answer what they answered when they were the newest", async () => {
        let nonce = await owner.getNonce("pending");
        const contract = new Contract(token_address, token.interface, owner);
        for (let round = 0; round < 12; ++round) {
            const to = fresh[Math.floor(pick() * fresh.length)];
            const sent = await (round % 2 === 0
                ? owner.sendTransaction({ to, value: BigInt(round) + 1n, nonce: nonce++ })
                : contract.transfer(to, 5n, { nonce: nonce++, gasLimit: 200_000 }));
            const { blockNumber } = await sent.wait();
            await at(blockNumber);
            // The newest state is that of the block as long as nothing else is sent.
            const block = await rpc.call("eth_getBlockByNumber", [toQuantity(blockNumber), false]);
            const said = await rpc.batch([owner.address, ...fresh].flatMap((a) => reads(a, "latest")));
            seen.push({ number: toQuantity(blockNumber), block, said });
        }
        assert.ok(new Set(seen.map(({ block }) => block.stateRoot)).size === seen.length, "each changed something");
    });

    const expect_seen = async () => {
        for (const { number, block, said } of seen) {
            const now = await rpc.batch([owner.address, ...fresh].flatMap((a) => reads(a, number)));
            assert.deepEqual(now, said, `block ${Number(number)}`);
            const by_hash = await rpc.call("eth_getBalance", [owner.address, { blockHash: block.hash }]);
            assert.equal(by_hash, said[0]);
        }
        for (const { number } of [seen[0], seen[5], seen.at(-1)]) {
            await ask(fresh[Math.floor(pick() * fresh.length)], number);
            await ask(token_address, number);
        }
        const [birth] = await rpc.batch([["eth_getBalance", [accounts[3].address, "0x0"]]]);
        assert.equal(BigInt(birth), 10_000n * ether);
        await ask(accounts[3].address, "0x0");
    };
    await t.test("and go on doing so while others follow", expect_seen);

    await t.test("an old proof is taken by the contract with the root of its block", async () => {
        const { number, block } = seen[1];
        const { stateRoot, account } = await rpc.call("millrace_getProof", [owner.address, [], number]);
        assert.equal(stateRoot, block.stateRoot);
        assert.deepEqual([...(await verifier.verify(stateRoot, account.key, account.proof))], [true, account.leaf]);
        const newest = await rpc.call("eth_getBlockByNumber", ["latest", false]);
        await assert.rejects(verifier.verify(newest.stateRoot, account.key, account.proof));
    });

    await t.test("after a kill and after a clean end too", async () => {
        for (const signal of ["SIGKILL", "SIGTERM"]) {
            await node.stop(signal);
            rpc.close();
            node = await start_node(t, { datadir, args });
            rpc = new HttpClient(node.port);
            await expect_seen();
        }
    });

    await t.test("after a snapshot of the directory was restored too", async () => {
        await node.stop();
        rpc.close();
        const copy = path.join(scratch, "copy");
        const back = path.join(scratch, "back");
        for (const command of [["snapshot", "--datadir", datadir, "--to", copy], ["restore", "--from", copy, "--datadir", back]]) {
            const done = await run_program(millrace_bin, ["db", ...command]);
            assert.equal(done.code, 0, done.stderr);
        }
        const other = await start_node(t, { datadir: back, args });
        rpc = new HttpClient(other.port);
        await expect_seen();
        rpc.close();
        await other.stop();
        // From here on what comes after the clean end is in memory too, so that it can be reverted.
        node = await start_node(t, { datadir, args: args.slice(2) });
        rpc = new HttpClient(node.port);
    });

    await t.test("a revert takes the blocks after it, and leaves those before", async () => {
        const id = await rpc.call("evm_snapshot");
        const base = await rpc.call("eth_blockNumber");
        const raw = await sign(accounts[1], { nonce: 0, to: stranger, value: 7n });
        const { blockNumber, blockHash } = await rpc.send_sync(raw);
        await at(Number(blockNumber));
        const gone = (await rpc.call("eth_getBlockByNumber", [blockNumber, false])).hash;
        assert.ok(blockHash !== undefined);
        await rpc.call("millrace_getProof", [stranger, [], blockNumber]);
        assert.equal(await rpc.call("evm_revert", [id]), true);
        await expect_seen();
        const error = await rpc.answer("millrace_getProof", [stranger, [], { blockHash: gone }]);
        assert.equal(error.error.code, -32000);
        assert.match(error.error.message, /header not found/);
        await at(Number(blockNumber));
        assert.equal(BigInt(await rpc.call("eth_getBalance", [stranger, blockNumber])), 0n);
        const { account } = await rpc.call("millrace_getProof", [stranger, [], blockNumber]);
        assert.equal(account.leaf, null);
        assert.ok(Number(base) < Number(blockNumber));
    });

    await t.test("what it cannot answer gets a clear error", async () => {
        const refused = async (params, method = "millrace_getProof") => {
            const { error } = await rpc.answer(method, params);
            assert.ok(error, `${method} answered ${JSON.stringify(params).slice(0, 200)}`);
            return [error.code, error.message];
        };
        const code = async (...given) => (await refused(...given))[0];
        const a = owner.address;
        const [pending, why] = await refused([a, [], "pending"]);
        assert.equal(pending, -32000);
        assert.match(why, /no state root yet/);
        for (const far of ["0xffffff", { blockHash: keccak256("0x01") }]) {
            const [unknown, words] = await refused([a, [], far]);
            assert.equal(unknown, -32000);
            assert.match(words, /header not found/);
            assert.equal((await refused([a, far], "eth_getBalance"))[0], -32000);
        }
        const many = Array.from({ length: 1025 }, (_, i) => word(i));
        const [too_many, limit] = await refused([a, many, "latest"]);
        assert.equal(too_many, -32602);
        assert.match(limit, /more than 1024/);
        assert.equal((await rpc.call("millrace_getProof", [a, many.slice(1), "latest", "multi"])).storage.length, 1024);
        assert.equal((await rpc.call("millrace_getProof", [a, many.slice(1), "latest"])).storage.length, 1024);
        // The same slot twice is answered twice and proven once.
        const twice = await rpc.call("millrace_getProof", [a, [word(1), "0x1"], "latest", "multi"]);
        assert.equal(twice.storage.length, 2);
        assert.equal(twice.multiproof.keys.length, 2);
        for (const wrong of [[], ["0x12"], [a, "0x1"], [a, ["zz"]], [a, [word(1).concat("00")]], [a, [7]], [a, [], "newest"], [a, [], 7n.toString()], [a, [], {}], [a, [], "latest", "both"], [a, [], "latest", 1], [a, [], "latest", "multi", 1]]) {
            assert.equal(await code(wrong), -32602, JSON.stringify(wrong));
        }
        const [other, hint] = await refused([a, [], "latest"], "eth_getProof");
        assert.equal(other, -32601);
        assert.match(hint, /millrace_getProof/);
    });
    provider.destroy();
});

test("millrace_getProof under mpt names eth_getProof", { skip: millrace_only }, async (t) => {
    const node = await start_node(t, { args: ["--commitment", "mpt", "--history-records", "1", "--block-ms", "50"] });
    const rpc = new HttpClient(node.port);
    t.after(() => rpc.close());
    const { error } = await rpc.answer("millrace_getProof", [accounts[0].address, [], "latest"]);
    assert.equal(error.code, -32601);
    assert.match(error.message, /eth_getProof/);
    // And old states are those of the memory alone.
    await wait_for(async () => Number(await rpc.call("eth_blockNumber")) > 3, "some blocks");
    await assert.rejects(rpc.call("eth_getBalance", [accounts[0].address, "0x1"]), (e) => {
        assert.ok(e instanceof RpcError);
        assert.equal(e.code, -32000);
        assert.match(e.message, /missing trie node .*block 1 is not kept.*--history-records/);
        return true;
    });
});
